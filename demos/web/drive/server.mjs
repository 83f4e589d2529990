/** A static server for the checks: it counts what is asked for, and can cut or change an answer. */
import {createReadStream, existsSync, readFileSync, statSync} from 'node:fs';
import http from 'node:http';
import path from 'node:path';

const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
};

/**
 * Serves a folder on a free port of this machine.
 * @param {string} root
 * @returns {Promise<{address: string, asked: string[], faults: Map<string, Function>, close: () => Promise<void>}>}
 *   `faults`: by the end of a path, what answers `(response, content)` instead
 */
export async function serve(root) {
  const asked = [], faults = new Map();
  const server = http.createServer((request, response) => {
    const name = decodeURIComponent(request.url.split('?')[0]).replace(/\/$/, '/index.html');
    const file = path.join(root, path.normalize(name));
    asked.push(name);
    if (!file.startsWith(root) || !existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    const fault = [...faults].find(([ending]) => name.endsWith(ending))?.[1];
    const type = TYPES[path.extname(file)] ?? 'application/octet-stream';
    const head = {'Content-Type': type, 'Cache-Control': 'no-cache', 'Content-Length': statSync(file).size};
    if (fault) fault(response, readFileSync(file), head);
    else createReadStream(file).pipe(response.writeHead(200, head));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://localhost:${server.address().port}/`,
    asked,
    faults,
    close: () => new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    }),
  };
}
