// A phone made with SIP.js.
import { Messager, Registerer, RegistererState, UserAgent } from 'sip.js';

export function phone({ url, user, password, domain }) {
  const heard = [];
  const uri = UserAgent.makeURI(`sip:${user}@${domain}`);
  const ua = new UserAgent({
    uri,
    transportOptions: { server: url },
    authorizationUsername: user,
    authorizationPassword: password,
    logBuiltinEnabled: false,
    delegate: {
      onMessage(message) {
        heard.push(message.request.body);
        message.accept();
      },
    },
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
    stop: () => ua.stop(),
  };
}
