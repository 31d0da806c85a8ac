// node watching.mjs PROFILE JSON: opens the page of `--web` in headless Chromium, and waits until it shows what `url`,
// `aor`, `caller` and `steps` say: a registration, a call of that caller, and its ladder as it grows.
import { chromium } from 'playwright-core';

const [profile, options] = process.argv.slice(2);
const { url, aor, caller, steps } = JSON.parse(options);
const context = await chromium.launchPersistentContext(profile, {
  executablePath: '/usr/bin/chromium',
  headless: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
  ],
});
let code = 1;
try {
  const page = await context.newPage();
  const wrong = [];
  page.on('console', (message) => message.type() === 'error' && wrong.push(message.text()));
  page.on('pageerror', (error) => wrong.push(String(error)));
  // Nothing is asked of anybody else.
  await page.route('**/*', (route) => {
    const ours = route.request().url().startsWith(url);
    if (!ours) wrong.push(`asked for ${route.request().url()}`);
    return ours ? route.continue() : route.abort();
  });
  await page.goto(url);
  await page.getByText(/^up \d+ s/).waitFor();
  console.log('opened');
  await page.locator('#registrations td', { hasText: aor }).first().waitFor();
  console.log('registered');
  // The name of the caller is there, letter by letter, and is nothing but text.
  const call = page.locator('#calls tr').filter({ has: page.getByText(caller) });
  await call.waitFor();
  await call.click();
  for (const step of steps) {
    await page.locator('#ladder', { hasText: step }).waitFor();
    console.log('ladder', step);
  }
  await call.getByText('ended').waitFor();
  const made = await page.evaluate(() => [document.querySelectorAll('img').length, typeof window.hacked]);
  if (made[0] !== 0 || made[1] !== 'undefined') throw new Error(`the name of the caller became ${made}`);
  if (wrong.length) throw new Error(wrong.join('; '));
  console.log('ok');
  code = 0;
} catch (error) {
  console.log(`failed: ${error.stack ?? error}`);
} finally {
  await context.close();
}
process.exit(code);
