/** Builds the app into `dist/`: two scripts, a style, a page, the runtime's WebAssembly, and a service worker. */
import {createHash} from 'node:crypto';
import {cp, mkdir, readdir, readFile, rename, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

import {build, transform} from 'esbuild';

const ROOT = path.dirname(fileURLToPath(import.meta.url));
const SOURCE = path.join(ROOT, 'src'), OUTPUT = path.join(ROOT, 'dist'), ASIDE = path.join(ROOT, `.dist.${process.pid}.part`);
const LITERT = path.join(ROOT, 'node_modules/@litertjs/core');
// Without relaxed SIMD a browser takes the second one; threads and JSPI are not used.
const RUNTIMES = ['litert_wasm_internal', 'litert_wasm_compat_internal'];
const COPIED = ['index.html', 'manifest.webmanifest', 'icon.svg', 'icon-180.png', 'icon-512.png'];
const SHELL = [...COPIED, 'style.css', 'app.js', 'worker.js'];

await rm(ASIDE, {recursive: true, force: true});
await mkdir(path.join(ASIDE, 'wasm'), {recursive: true});

const {version} = JSON.parse(await readFile(path.join(LITERT, 'package.json'), 'utf8'));
const common = {
  bundle: true,
  minify: true,
  target: 'es2022',
  legalComments: 'none',
  logLevel: 'warning',
  define: {__LITERT_VERSION__: JSON.stringify(version)},
};
await build({
  ...common,
  entryPoints: [path.join(SOURCE, 'page/main.js')],
  outfile: path.join(ASIDE, 'app.js'),
  format: 'esm',
});
await build({
  ...common,
  entryPoints: [path.join(SOURCE, 'worker/main.js')],
  outfile: path.join(ASIDE, 'worker.js'),
  format: 'iife',
});
for (const name of COPIED) {
  await cp(path.join(SOURCE, name), path.join(ASIDE, name));
}
const style = await transform(await readFile(path.join(SOURCE, 'style.css'), 'utf8'), {loader: 'css', minify: true});
await writeFile(path.join(ASIDE, 'style.css'), style.code);
for (const name of RUNTIMES) {
  const glue = await readFile(path.join(LITERT, 'wasm', `${name}.js`), 'utf8');
  const {code} = await transform(glue, {minifyWhitespace: true});
  await writeFile(path.join(ASIDE, 'wasm', `${name}.js`), code);
  await cp(path.join(LITERT, 'wasm', `${name}.wasm`), path.join(ASIDE, 'wasm', `${name}.wasm`));
}

// The version is that of all contents, so that a changed file is a new service worker.
const digest = createHash('sha256');
for (const name of [...SHELL, ...(await readdir(path.join(ASIDE, 'wasm'))).map((each) => `wasm/${each}`)]) {
  digest.update(await readFile(path.join(ASIDE, name)));
}
const worker = await readFile(path.join(SOURCE, 'sw.js'), 'utf8');
const filled = worker
  .replace('__VERSION__', JSON.stringify(digest.digest('hex').slice(0, 12)))
  .replace('__SHELL__', JSON.stringify(['./', ...SHELL]));
await writeFile(path.join(ASIDE, 'sw.js'), filled);
await rm(OUTPUT, {recursive: true, force: true});
await rename(ASIDE, OUTPUT);
