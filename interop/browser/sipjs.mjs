// A phone made with SIP.js.
import { Inviter, Messager, Registerer, RegistererState, SessionState, UserAgent } from 'sip.js';

export function phone({ url, user, password, domain }) {
  const heard = [];
  const uri = UserAgent.makeURI(`sip:${user}@${domain}`);
  const ua = new UserAgent({
    uri,
    transportOptions: { server: url },
    // There are no servers for ICE to wait for.
    sessionDescriptionHandlerFactoryOptions: { peerConnectionConfiguration: { iceServers: [] }, iceGatheringTimeout: 1000 },
    authorizationUsername: user,
    authorizationPassword: password,
    logBuiltinEnabled: false,
    delegate: {
      onMessage(message) {
        heard.push(message.request.body);
        message.accept();
      },
      onInvite(invitation) {
        taken(invitation);
        invitation.accept({ sessionDescriptionHandlerOptions: media }).catch(failed);
      },
    },
  });
  const media = { constraints: { audio: true, video: false } };
  // The one call of the phone, and what becomes of it.
  let session, failed, confirmed, over;
  let hungUp = 'remote';
  const up = new Promise((resolve, reject) => ([confirmed, failed] = [resolve, reject]));
  const ended = new Promise((resolve) => (over = resolve));
  const taken = (call) => {
    session = call;
    call.stateChange.addListener((state) => {
      if (state === SessionState.Established) confirmed();
      if (state === SessionState.Terminated) over(hungUp);
    });
  };
  // Who waits for neither is not told of a failure.
  up.catch(() => {});
  // An offer that holds, or does so no more; done when it is answered.
  const holding = (hold) =>
    new Promise((resolve, reject) => {
      session.sessionDescriptionHandlerOptionsReInvite = { ...media, hold };
      const requestDelegate = {
        onAccept: () => resolve(),
        onReject: ({ message }) => reject(new Error(`re-INVITE: ${message.statusCode}`)),
      };
      session.invite({ requestDelegate }).catch(reject);
    });
  const registerer = new Registerer(ua, { expires: 600 });
  const state = (wanted) =>
    new Promise((resolve) => {
      registerer.stateChange.addListener((now) => now === wanted && resolve());
    });
  const outcome = (resolve) => ({
    onAccept: ({ message }) => resolve(message.statusCode),
    onReject: ({ message }) => resolve(message.statusCode),
  });
  const target = (to) => UserAgent.makeURI(to);
  return {
    heard,
    start: () => ua.start(),
    async register() {
      const registered = state(RegistererState.Registered);
      const rejected = new Promise((_, reject) => {
        const requestDelegate = { onReject: ({ message }) => reject(new Error(`refused: ${message.statusCode}`)) };
        registerer.register({ requestDelegate }).catch(reject);
      });
      await Promise.race([registered, rejected]);
    },
    async unregister() {
      const unregistered = state(RegistererState.Unregistered);
      await registerer.unregister();
      await unregistered;
    },
    message: (to, text) =>
      new Promise((resolve, reject) => {
        new Messager(ua, target(to), text).message({ requestDelegate: outcome(resolve) }).catch(reject);
      }),
    options: (to) =>
      new Promise((resolve) => {
        const core = ua.userAgentCore;
        core.request(core.makeOutgoingRequestMessage('OPTIONS', target(to), uri, target(to), {}), outcome(resolve));
      }),
    async dial(to) {
      const inviter = new Inviter(ua, target(to), { sessionDescriptionHandlerOptions: media });
      taken(inviter);
      const onReject = ({ message }) => {
        failed(new Error(`${message.statusCode} ${message.reasonPhrase}`));
        over('failed');
      };
      await inviter.invite({ requestDelegate: { onReject } });
      await up;
    },
    expect() {}, // it answers whoever calls
    up: () => up,
    ended: () => ended,
    connection: () => session.sessionDescriptionHandler.peerConnection,
    hold: () => holding(true),
    resume: () => holding(false),
    async hangUp() {
      hungUp = 'local';
      await session.bye();
    },
    stop: () => ua.stop(),
  };
}
