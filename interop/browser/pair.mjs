// node pair.mjs PROFILE JSON: two phones in two pages of headless Chromium, one calls the other: audio both ways, hold,
// resume, and the end of it. `caller` and `called` name their stacks, `hangsUp` is one of the two.
import { run } from './page.mjs';

const [profile, json] = process.argv.slice(2);
const { caller, called, hangsUp, users, ...server } = JSON.parse(json);

/** Looks again and again until it holds. */
async function until(what, condition, seconds = 20) {
  for (const end = Date.now() + 1000 * seconds; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`it did not come to pass: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  console.log(what);
}

/** A phone in a page of its own: what is called here is done there. */
async function phone(open, stack, [user, password]) {
  const page = await open(user);
  await page.evaluate(async (options) => {
    window.phone = await phones.one(options);
  }, { ...server, stack, user, password });
  console.log(`${user} is registered by ${stack}`);
  const told = { user };
  for (const name of ['dial', 'up', 'ended', 'hold', 'resume', 'hangUp', 'direction', 'received', 'unregister', 'stop']) {
    told[name] = (...words) => page.evaluate(([name, words]) => window.phone[name](...words), [name, words]);
  }
  return told;
}

await run(profile, async (open) => {
  const alice = await phone(open, caller, users[0]);
  const bob = await phone(open, called, users[1]);
  const grows = async (what) => {
    for (const one of [alice, bob]) {
      const before = await one.received();
      await until(`${what}: audio comes to ${one.user}`, async () => (await one.received()) >= before + 10);
    }
  };
  await alice.dial(`sip:${bob.user}@${server.domain}`);
  await bob.up();
  console.log('up');
  await grows('call');

  await alice.hold();
  const held = ['recvonly', 'inactive'];
  await until('hold: agreed on', async () => held.includes(await bob.direction()) && (await alice.direction()) !== 'sendrecv');
  // What was on its way may still come.
  let last = -1, since = Date.now();
  await until('hold: nothing comes to alice', async () => {
    const now = await alice.received();
    if (now !== last) [last, since] = [now, Date.now()];
    return Date.now() - since > 500;
  });

  await alice.resume();
  await until('resume: agreed on', async () => (await alice.direction()) === 'sendrecv' && (await bob.direction()) === 'sendrecv');
  await grows('resume');

  const [first, second] = hangsUp === 'caller' ? [alice, bob] : [bob, alice];
  await first.hangUp();
  for (const [one, who] of [[first, 'local'], [second, 'remote']]) {
    const end = await one.ended();
    if (end !== who) throw new Error(`for ${one.user} the call was ended: ${end}, not ${who}`);
  }
  for (const one of [alice, bob]) {
    await one.unregister();
    await one.stop();
  }
});
