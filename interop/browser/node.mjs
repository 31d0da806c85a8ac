// node node.mjs WHAT JSON: runs a part of phones.mjs in Node.js, whose own WebSocket is none yet.
import WebSocket from 'ws';

globalThis.WebSocket = WebSocket;
const phones = await import('./phones.mjs');
const [what, options] = process.argv.slice(2);
try {
  console.log('ok', (await phones[what](JSON.parse(options))) ?? '');
  process.exit(0);
} catch (error) {
  console.log(`failed: ${error.stack ?? error}`);
  process.exit(1);
}
