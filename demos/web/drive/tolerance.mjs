/** Counts errors: reads `[found, reference, embeds]` from standard input, and prints the errors of each as JSON. */
import {json} from 'node:stream/consumers';

import {countedErrors} from '../src/worker/tolerance.js';

console.log(JSON.stringify((await json(process.stdin)).map((each) => countedErrors(...each))));
