import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.mjs';

export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/[\\/]$/, '');
const installMarker = join(root, 'node_modules', '.holdfast-install.json');
const buildMarker = join(root, 'dist', '.build.json');
const neededNode = [24, 11];

/** Something that the person who typed the command can mend; its message is all there is to say. */
export class SetupError extends Error {}

/**
 * Installs and builds what is missing or out of date, one start at a time.
 *
 * @param {(line: string) => void} say
 * @returns {Promise<string>} the Node 24 that everything else runs on
 */
export async function prepare(say) {
  return withLock(join(root, '.start.lock'), (owner) => say(`Waiting for another start of this clone to install and build (pid ${owner.pid})`), async () => {
    await install(say);
    const node = installedNode();
    await build(node, say);
    return node;
  });
}

async function install(say) {
  const wanted = hashOf(['package-lock.json']) + ` ${process.platform} ${process.arch}`;
  if (readJson(installMarker)?.lock === wanted && existsSync(join(root, 'node_modules', '.bin', 'node'))) return;
  if (!alreadyInstalled()) {
    say('Installing the packages (npm ci)');
    await npm(['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']);
  }
  writeFileSync(installMarker, JSON.stringify({ lock: wanted }));
}

/** Somebody ran `npm ci` by hand: npm notes what it has installed, and nothing of the lock file is missing there. */
function alreadyInstalled() {
  const wanted = readJson(join(root, 'package-lock.json'))?.packages ?? {};
  const present = readJson(join(root, 'node_modules', '.package-lock.json'))?.packages ?? {};
  if (nodeVersion(binNode()) === null) return false;
  const required = Object.entries(wanted).filter(([path, entry]) => path !== '' && !entry.optional && !entry.devOptional);
  const paths = new Set(required.map(([path]) => path));
  return required.every(([path, entry]) => present[path]?.version === entry.version && present[path]?.integrity === entry.integrity) &&
    Object.entries(present).every(([path, entry]) => paths.has(path) || wanted[path]?.version === entry.version);
}

function installedNode() {
  const node = binNode();
  if (nodeVersion(node) !== null) return node;
  // npm was told to skip install scripts, and the package `node` fetches its binary by one.
  runNpmQuietly(['rebuild', 'node', '--ignore-scripts=false']);
  if (nodeVersion(node) !== null) return node;
  if (isNewEnough(process.versions.node)) return process.execPath;
  throw new SetupError(
    `Node ${neededNode.join('.')} or newer is needed, and its package could not be installed. Install Node 24 yourself, or run: npm ci --include=dev --ignore-scripts=false`,
  );
}

function binNode() {
  return join(root, 'node_modules', '.bin', process.platform === 'win32' ? 'node.cmd' : 'node');
}

function nodeVersion(binary) {
  const { status, stdout } = spawnSync(binary, ['--version'], { encoding: 'utf8' });
  const version = status === 0 ? stdout.trim().replace(/^v/, '') : '0.0.0';
  return isNewEnough(version) ? version : null;
}

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number);
  return major > neededNode[0] || (major === neededNode[0] && minor >= neededNode[1]);
}

async function build(node, say) {
  const wanted = hashOf(sources());
  if (readJson(buildMarker)?.sources === wanted && existsSync(join(root, 'dist', 'src', 'main.js'))) return;
  say('Building');
  const code = await run(node, [join(root, 'node_modules', '@nestjs', 'cli', 'bin', 'nest.js'), 'build']);
  if (code !== 0) throw new SetupError('The build failed; the messages above say why');
  mkdirSync(join(root, 'dist'), { recursive: true });
  writeFileSync(buildMarker, JSON.stringify({ sources: wanted }));
}

function sources() {
  const compiled = ['src', 'libs'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.endsWith('.spec.ts'))
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1)),
  );
  return [...compiled.sort(), 'nest-cli.json', 'tsconfig.json', 'tsconfig.build.json', 'package.json', 'package-lock.json'];
}

function hashOf(files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(join(root, file))).update('\0');
  return hash.digest('hex');
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

/** The npm that runs us, if one does, else the one on the PATH. */
function npmCommand() {
  const cli = process.env.npm_execpath;
  if (cli !== undefined && /npm-cli\.[cm]?js$/.test(cli)) return [process.execPath, cli];
  return [process.platform === 'win32' ? 'npm.cmd' : 'npm'];
}

async function npm(args) {
  const [command, ...first] = npmCommand();
  // Its progress belongs on stderr: our own stdout stays for what a caller may want to read.
  const code = await run(command, [...first, ...args], ['ignore', 2, 2]);
  if (code !== 0) throw new SetupError(`npm ${args.join(' ')} failed; the messages above say why`);
}

function runNpmQuietly(args) {
  const [command, ...first] = npmCommand();
  spawnSync(command, [...first, ...args], { cwd: root, stdio: 'ignore' });
}

function run(command, args, stdio = ['ignore', 2, 2]) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio });
    child.once('error', (error) => reject(new SetupError(`${command} cannot be run: ${error.message}`)));
    child.once('close', resolve);
  });
}
