// node copied.mjs PROFILE JSON: opens examples/browser.html, as it stands, in two pages of headless Chromium, which
// register at the server `url` and call each other.
import { readFile } from 'node:fs/promises';
import { build } from 'esbuild';
import { run } from './page.mjs';

const [profile, json] = process.argv.slice(2);
const { url } = JSON.parse(json);
const place = 'https://phone.example.com/';
const html = await readFile(new URL('../../examples/browser.html', import.meta.url), 'utf8');
// As README.md says.
const jssip = await build({
  entryPoints: [new URL('node_modules/jssip/lib/JsSIP.js', import.meta.url).pathname],
  bundle: true,
  write: false,
  format: 'iife',
  globalName: 'JsSIP',
  define: { global: 'globalThis' },
});

await run(profile, async (open) => {
  const phone = async (name) => {
    const page = await open(name);
    page.on('pageerror', (error) => console.log(`${name}: ${error}`));
    await page.route(`${place}examples/browser.html`, (route) => route.fulfill({ contentType: 'text/html', body: html }));
    const script = { contentType: 'text/javascript', body: jssip.outputFiles[0].text };
    await page.route(`${place}target/jssip.js`, (route) => route.fulfill(script));
    await page.goto(`${place}examples/browser.html`);
    await page.fill('#server', url);
    await page.fill('#name', name);
    await page.click('#register');
    const says = async (text) => {
      await page.locator('#events', { hasText: text }).waitFor();
      console.log(`${name}: ${text}`);
    };
    await says('registered');
    const received = () => page.evaluate(async () => {
      const stats = [...(await call.connection.getStats()).values()];
      return stats.filter(({ type }) => type === 'inbound-rtp').reduce((sum, { packetsReceived }) => sum + packetsReceived, 0);
    });
    return { page, says, received };
  };
  const [alice, bob] = [await phone('alice'), await phone('bob')];
  await alice.page.click('#call');
  await bob.says('sip:alice@example.com calls');
  await alice.says('it rings');
  await bob.page.click('#answer');
  for (const { says, received } of [alice, bob]) {
    await says('talking');
    for (const end = Date.now() + 20_000; (await received()) < 10; ) {
      if (Date.now() > end) throw new Error('no audio comes');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  await bob.page.click('#hang-up');
  await bob.says('ended by local');
  await alice.says('ended by remote');
});
