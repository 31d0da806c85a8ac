// What phones do with our server. It runs in Node.js and in a page alike.
import { phone as jssip } from './jssip.mjs';
import { phone as sipjs } from './sipjs.mjs';

const stacks = { jssip, sipjs };

function expect(what, found, wanted) {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) {
    throw new Error(`${what}: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
  }
}

async function until(what, condition, seconds = 5) {
  for (const end = Date.now() + 1000 * seconds; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`it did not come to pass: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Both register, and each sends the other MESSAGE and OPTIONS. */
export async function converse({ stack, url, domain }) {
  const make = (user) => stacks[stack]({ url, user, password: `${user}'s secret`, domain });
  const [alice, bob] = [make('alice'), make('bob')];
  for (const phone of [alice, bob]) {
    await phone.start();
    await phone.register();
  }
  for (const [from, to, name] of [[alice, bob, 'bob'], [bob, alice, 'alice']]) {
    const uri = `sip:${name}@${domain}`;
    expect('MESSAGE', await from.message(uri, `Grüße an ${name}`), 200);
    await until('the message', () => to.heard.length === 1);
    expect('what was heard', to.heard, [`Grüße an ${name}`]);
    expect('OPTIONS', await from.options(uri), 200);
  }
  await bob.unregister();
  expect('MESSAGE to nobody', await alice.message(`sip:bob@${domain}`, 'too late'), 480);
  await alice.unregister();
  await Promise.all([alice.stop(), bob.stop()]);
}

/** One call to a user agent that is reached without a registrar. */
export async function call({ url, to, milliseconds }) {
  const phone = jssip({ url, user: 'alice', password: 'none', domain: 'example.com' });
  await phone.start();
  const end = await phone.call(to, milliseconds);
  await phone.stop();
  return end;
}

/** A password that is wrong is refused. */
export async function refused({ stack, url, domain }) {
  const phone = stacks[stack]({ url, user: 'alice', password: 'wrong', domain });
  await phone.start();
  const outcome = await phone.register().then(() => 'registered', () => 'refused');
  await phone.stop();
  expect('registration with a wrong password', outcome, 'refused');
}

/** One phone of a page, registered, for what `pair.mjs` has it do. */
export async function one({ stack, url, domain, user, password }) {
  const phone = stacks[stack]({ url, user, password, domain });
  phone.expect();
  await phone.start();
  await phone.register();
  const audio = () => phone.connection().getTransceivers().find((one) => one.receiver.track.kind === 'audio');
  return Object.assign(phone, {
    /** What the last offer and answer agreed on for audio, as this side sees it. */
    direction: () => audio().currentDirection,
    /** How many packets of audio have come. */
    async received() {
      const stats = [...(await audio().receiver.getStats()).values()];
      return stats.find((stat) => stat.type === 'inbound-rtp')?.packetsReceived ?? 0;
    },
  });
}

/** Registers, and calls: tells how that ended. If it is answered, it waits for audio and hangs up. */
export async function places({ to, ...options }) {
  const phone = await one(options);
  const outcome = await phone.dial(to).then(() => hears(phone), (error) => error.message);
  if (outcome === 'up') await phone.hangUp();
  const end = await phone.ended();
  await phone.unregister();
  await phone.stop();
  return `${outcome}: ${end}`;
}

async function hears(phone) {
  await until('audio comes', async () => (await phone.received()) >= 20, 20);
  console.log('audio');
  return 'up';
}

/** Registers, answers who calls, and tells how that ended: the other side hangs up when it is told of audio. */
export async function takes(options) {
  const phone = await one(options);
  console.log('registered');
  const outcome = await phone.up().then(() => hears(phone), (error) => error.message);
  const end = await phone.ended();
  await phone.unregister();
  await phone.stop();
  return `${outcome}: ${end}`;
}
