// node chromium.mjs PROFILE WHAT JSON: runs a part of phones.mjs in a page of headless Chromium.
import { build } from 'esbuild';
import { chromium } from 'playwright-core';

const [profile, what, options] = process.argv.slice(2);
const bundle = await build({
  entryPoints: [new URL('phones.mjs', import.meta.url).pathname],
  bundle: true,
  write: false,
  format: 'iife',
  globalName: 'phones',
  define: { global: 'globalThis' },
});
const context = await chromium.launchPersistentContext(profile, {
  executablePath: '/usr/bin/chromium',
  headless: true,
  ignoreHTTPSErrors: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--ignore-certificate-errors',
    '--disable-features=LocalNetworkAccessChecks', '--use-fake-ui-for-media-stream',
    '--use-fake-device-for-media-stream',
  ],
});
let code = 1;
try {
  const page = await context.newPage();
  page.on('console', (message) => console.log('console:', message.text()));
  // A page of an origin of its own; no request leaves this machine.
  await page.route('**/*', (route) => route.fulfill({ contentType: 'text/html', body: '<title>phone</title>' }));
  await page.goto('https://phone.example.com/');
  await page.addScriptTag({ content: bundle.outputFiles[0].text });
  console.log('ok', (await page.evaluate(([what, options]) => phones[what](options), [what, JSON.parse(options)])) ?? '');
  code = 0;
} catch (error) {
  console.log(`failed: ${error.stack ?? error}`);
} finally {
  await context.close();
}
process.exit(code);
