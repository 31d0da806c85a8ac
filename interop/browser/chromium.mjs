// node chromium.mjs PROFILE WHAT JSON: runs a part of phones.mjs in a page of headless Chromium.
import { run } from './page.mjs';

const [profile, what, options] = process.argv.slice(2);
await run(profile, async (open) => {
  const page = await open('console');
  return page.evaluate(([what, options]) => phones[what](options), [what, JSON.parse(options)]);
});
