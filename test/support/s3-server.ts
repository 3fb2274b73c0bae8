import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { CreateBucketCommand, PutBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3';
import { freePort, ServerProcess } from '../../scripts/servers/server-process.ts';
import { noteServer } from './run-folder.ts';
import { runFolder } from './servers.ts';

/** A gateway that serves a folder as S3; its module is pinned, as we run what it builds. */
const gateway = { module: 'github.com/versity/versitygw/cmd/versitygw', version: 'v1.8.0' } as const;
export const s3Keys = { accessKeyId: 'holdfast-test', secretAccessKey: 'secret-of-the-s3-server' } as const;
export const s3Bucket = 'holdfast-tests';
/** With versions, and one with object lock; of servers that are started with `versions`. */
export const s3VersionedBucket = 'holdfast-versions';
export const s3LockedBucket = 'holdfast-locked';

const versionsFolder = 'versions';

/** A real S3 server with one bucket, for one spec file. */
export class S3Server {
  private constructor(
    private readonly binary: string,
    private readonly folder: string,
    readonly port: number,
    private server: ServerProcess,
  ) {}

  /** Null, and a line that says why, where there is no such server. */
  static async start({ versions = false }: { readonly versions?: boolean } = {}): Promise<S3Server | null> {
    const binary = await findGateway().catch((error: unknown) => {
      process.stderr.write(`Skipped: no S3 server can be had here, so nothing is tested against one. Set VERSITYGW_BINARY, or install Go. ${error instanceof Error ? error.message.split('\n')[0] : ''}\n`);
      return null;
    });
    if (binary === null) return null;
    const folder = await mkdtemp(join(runFolder(), 's3-'));
    await mkdir(join(folder, 'data'));
    if (versions) await mkdir(join(folder, versionsFolder));
    const port = await freePort();
    const server = new S3Server(binary, folder, port, await run(binary, folder, port));
    await server.untilReady();
    const client = server.client();
    await client.send(new CreateBucketCommand({ Bucket: s3Bucket }));
    if (versions) {
      await client.send(new CreateBucketCommand({ Bucket: s3VersionedBucket }));
      await client.send(new PutBucketVersioningCommand({ Bucket: s3VersionedBucket, VersioningConfiguration: { Status: 'Enabled' } }));
      await client.send(new CreateBucketCommand({ Bucket: s3LockedBucket, ObjectLockEnabledForBucket: true }));
    }
    client.destroy();
    return server;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  client(): S3Client {
    return new S3Client({ endpoint: this.endpoint, region: 'us-east-1', forcePathStyle: true, credentials: s3Keys });
  }

  async kill(): Promise<void> {
    this.server.kill('SIGKILL');
    await this.server.exited;
  }

  /** On the same port and data. */
  async restart(): Promise<void> {
    await this.server.stop();
    this.server = await run(this.binary, this.folder, this.port);
    await this.untilReady();
  }

  async stop(): Promise<void> {
    await this.server.stop();
  }

  private async untilReady(): Promise<void> {
    // Whoever is not known is refused, by a server that answers.
    await this.server.untilReady(async () => void (await fetch(this.endpoint)));
  }
}

async function run(binary: string, folder: string, port: number): Promise<ServerProcess> {
  const server = await ServerProcess.spawn({
    name: 'The S3 server', binary, cwd: folder, logFile: join(folder, 'log'),
    args: [
      '--access', s3Keys.accessKeyId, '--secret', s3Keys.secretAccessKey, '--port', `127.0.0.1:${port}`, '--quiet', 'posix',
      ...(existsSync(join(folder, versionsFolder)) ? ['--versioning-dir', join(folder, versionsFolder)] : []), join(folder, 'data'),
    ],
  });
  await noteServer(runFolder(), server.identity);
  return server;
}

async function findGateway(): Promise<string> {
  const named = process.env['VERSITYGW_BINARY'];
  if (named !== undefined && named !== '') return named;
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) if (folder !== '' && existsSync(join(folder, 'versitygw'))) return join(folder, 'versitygw');
  const cache = join(process.env['HOLDFAST_CACHE_DIR'] ?? join(homedir(), '.cache', 'holdfast'), `versitygw-${gateway.version}`);
  const cached = join(cache, 'versitygw');
  if (existsSync(cached)) return cached;
  const go = ['go', '/usr/local/go/bin/go'].find((path) => path === 'go' || existsSync(path)) ?? 'go';
  const env = { ...process.env, GOBIN: cache };
  await promisify(execFile)(go, ['install', `${gateway.module}@${gateway.version}`], { env, timeout: 300_000 }).catch(() =>
    promisify(execFile)('/usr/local/go/bin/go', ['install', `${gateway.module}@${gateway.version}`], { env, timeout: 300_000 }),
  );
  return cached;
}
