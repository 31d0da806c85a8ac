// A phone made with JsSIP.
import JsSIP from 'jssip';

export function phone({ url, user, password, domain }) {
  const ua = new JsSIP.UA({
    sockets: [new JsSIP.WebSocketInterface(url)],
    uri: `sip:${user}@${domain}`,
    authorization_user: user,
    password,
    register: false,
    register_expires: 600,
    session_timers: false,
  });
  const heard = [];
  ua.on('newMessage', ({ originator, request }) => {
    if (originator === 'remote') heard.push(request.body);
  });
  const event = (name, failed) =>
    new Promise((resolve, reject) => {
      ua.once(name, resolve);
      if (failed) ua.once(failed, (e) => reject(new Error(`${failed}: ${e.cause ?? e.code ?? ''}`)));
    });
  const status = (send) =>
    new Promise((resolve) => {
      const eventHandlers = {
        succeeded: ({ response }) => resolve(response.status_code),
        failed: ({ response, cause }) => resolve(response?.status_code ?? cause),
      };
      send({ eventHandlers });
    });
  const media = { mediaConstraints: { audio: true, video: false }, pcConfig: { iceServers: [] } };
  // The one call of the phone, and what becomes of it.
  let session, failed, confirmed, over;
  const up = new Promise((resolve, reject) => ([confirmed, failed] = [resolve, reject]));
  const ended = new Promise((resolve) => (over = resolve));
  const taken = (call) => {
    session = call;
    call.on('confirmed', confirmed);
    call.on('ended', ({ originator }) => over(originator));
    call.on('failed', ({ message, cause }) => {
      failed(new Error(`${message?.status_code ?? ''} ${cause}`));
      over('failed');
    });
  };
  // Who waits for neither is not told of a failure.
  up.catch(() => {});
  return {
    heard,
    async start() {
      const connected = event('connected', 'disconnected');
      ua.start();
      await connected;
    },
    async register() {
      const registered = event('registered', 'registrationFailed');
      ua.register();
      await registered;
    },
    async unregister() {
      const unregistered = event('unregistered');
      ua.unregister();
      await unregistered;
    },
    message: (to, text) => status((options) => ua.sendMessage(to, text, options)),
    options: (to) => status((options) => ua.sendOptions(to, undefined, options)),
    // A call with the browser's own media. Who hangs up, `local` or `remote`, is told when it is over.
    call: (to, milliseconds) =>
      new Promise((resolve, reject) => {
        const session = ua.call(to, media);
        session.on('confirmed', () => {
          if (milliseconds) setTimeout(() => session.terminate(), milliseconds);
        });
        session.on('ended', ({ originator, cause }) => resolve(`${originator}: ${cause}`));
        session.on('failed', ({ originator, cause }) => reject(new Error(`call failed: ${originator}: ${cause}`)));
      }),
    // What is done with a call in a page: its peer connection is `session.connection`.
    async dial(to) {
      taken(ua.call(to, media));
      await up;
    },
    expect: () => {
      ua.on('newRTCSession', ({ originator, session: call }) => {
        if (originator !== 'remote') return;
        taken(call);
        call.answer(media);
      });
    },
    up: () => up,
    ended: () => ended,
    connection: () => session.connection,
    hold: () => new Promise((resolve) => session.hold({}, resolve)),
    resume: () => new Promise((resolve) => session.unhold({}, resolve)),
    hangUp: () => void session.terminate(),
    async stop() {
      const disconnected = event('disconnected');
      ua.stop();
      await disconnected;
    },
  };
}
