// Pages of headless Chromium that hold the phones of phones.mjs.
import { build } from 'esbuild';
import { chromium } from 'playwright-core';

/** A browser that keeps what it has in `profile`, and a function that opens a page there. */
export async function browser(profile) {
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
      '--disable-component-update', '--disable-sync', '--ignore-certificate-errors', '--use-fake-ui-for-media-stream',
      '--use-fake-device-for-media-stream',
      // The names of mDNS for local addresses are known to nobody here.
      '--disable-features=LocalNetworkAccessChecks,WebRtcHideLocalIpsWithMdns',
    ],
  });
  const open = async (name) => {
    const page = await context.newPage();
    page.on('console', (message) => console.log(`${name}:`, message.text()));
    // A page of an origin of its own; no request leaves this machine.
    await page.route('**/*', (route) => route.fulfill({ contentType: 'text/html', body: '<title>phone</title>' }));
    await page.goto('https://phone.example.com/');
    await page.addScriptTag({ content: bundle.outputFiles[0].text });
    return page;
  };
  return { context, open };
}

/** Runs it with a browser, and ends by how that went. */
export async function run(profile, steps) {
  const { context, open } = await browser(profile);
  let code = 1;
  try {
    console.log('ok', (await steps(open)) ?? '');
    code = 0;
  } catch (error) {
    console.log(`failed: ${error.stack ?? error}`);
  } finally {
    await context.close();
  }
  process.exit(code);
}
