// `npm test`. Free of dependencies: nothing may be installed yet. Arguments go to jest.
import { delimiter, dirname, join } from 'node:path';
import { handOver } from './bootstrap/hand-over.mjs';
import { root } from './bootstrap/prepare.mjs';

await handOver((node) => ({
  args: [join(root, 'node_modules', 'jest', 'bin', 'jest.js'), ...process.argv.slice(2)],
  env: {
    NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --experimental-vm-modules --disable-warning=ExperimentalWarning`.trim(),
    // Programs that tests start find the same Node.
    PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ''}`,
  },
}));
