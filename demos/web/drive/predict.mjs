/**
 * Asks the worker for outputs of arrays, and prints them: for each of `[{bundle, examples: [{name: {shape, data}}]}]`
 * on standard input a list of `{name: {shape, data}}`, or of `{error}`.
 *
 *     node demos/web/drive/predict.mjs SITE < asked.json
 */
import path from 'node:path';
import {json} from 'node:stream/consumers';

import {openBundle} from './asking.mjs';
import {launch, report} from './browser.mjs';
import {serve} from './server.mjs';

const [site] = process.argv.slice(2);
const asked = await json(process.stdin);

async function predict(page, inputs) {
  return page.evaluate(async (given) => {
    try {
      const {result} = await self.askWorker('predict', {inputs: given});
      return Object.fromEntries(Object.entries(result).map(([name, {shape, data}]) => [name, {shape, data: Array.from(data)}]));
    } catch (error) {
      return {error: error.message};
    }
  }, inputs);
}

await report(async () => {
  const server = await serve(path.resolve(site));
  const {page, close} = await launch();
  const found = [];
  try {
    await page.goto(`${server.address}icon.svg`);
    for (const {bundle, examples} of asked) {
      await openBundle(page, bundle);
      const outputs = [];
      for (const inputs of examples) outputs.push(await predict(page, inputs));
      found.push(outputs);
    }
    return found;
  } finally {
    await close();
    await server.close();
  }
});
