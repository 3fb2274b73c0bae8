import { homedir } from 'node:os';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { z } from 'zod';
import { parseS3Url } from '#storage';

/** What the documentation's table shows of a variable; it travels with the schema so that the two cannot differ. */
export interface VariableNotes {
  readonly description: string;
  /** Shown as the default: either the value itself, or words where the value is worked out. */
  readonly default?: string;
  /** A secret is never printed, and may come from the file that `<NAME>_FILE` names. */
  readonly secret?: true;
  readonly required?: true;
}

const noted = <T extends z.ZodType>(schema: T, notes: VariableNotes): T => schema.meta({ ...notes });

const text = z.string().trim().min(1);

function wholeNumber(min: number, max: number) {
  return z
    .string()
    .trim()
    .regex(/^\d{1,15}$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((n) => n >= min && n <= max, `must be a whole number from ${min} to ${max}`);
}

function limit(standard: number, min: number, max: number, description: string) {
  return noted(wholeNumber(min, max).default(standard), { description, default: String(standard) });
}

const flag = z
  .string()
  .trim()
  .toLowerCase()
  .refine((word) => ['true', 'false', '1', '0', 'yes', 'no', 'on', 'off'].includes(word), 'must be true or false')
  .transform((word) => ['true', '1', 'yes', 'on'].includes(word));

const list = z.string().transform((all) =>
  all
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== ''),
);

function url(protocols: readonly string[], example: string) {
  return text.refine(
    (value) => URL.canParse(value) && protocols.includes(new URL(value).protocol),
    `must be an address such as ${example}`,
  );
}

/** mongodb:// lists several hosts, which URL refuses to parse, so only its beginning is judged here. */
const mongodbUri = text.regex(/^mongodb(\+srv)?:\/\/[^/?\s]+/, 'must be an address such as mongodb://host:27017/?replicaSet=rs0');

const base64Of32Bytes = (value: string) => {
  const bytes = Buffer.from(value, 'base64');
  return bytes.length === 32 && bytes.toString('base64').replace(/=+$/, '') === value.replace(/=+$/, '');
};

const storeUrl = text.superRefine((value, issue) => {
  if (!URL.canParse(value)) {
    issue.addIssue('must be an address such as file:///var/lib/holdfast/store');
    return;
  }
  const { protocol, host, pathname } = new URL(value);
  if (protocol === 's3:') {
    try {
      parseS3Url(value);
    } catch (error) {
      issue.addIssue(error instanceof Error ? error.message : String(error));
    }
  } else if (protocol !== 'file:') issue.addIssue('must begin with file:/// or s3://');
  else if (host !== '' || pathname === '/') issue.addIssue('must name an absolute folder with three slashes, such as file:///var/lib/holdfast/store');
});

const smsUrl = text.superRefine((value, issue) => {
  if (value === 'outbox:') return;
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) issue.addIssue('must be an address such as https://sid:token@api.twilio.com?from=%2B4930123456, or outbox:');
  else if (url.username === '' || url.password === '') issue.addIssue('must hold the account sid and the auth token before the host');
  else if (!/^[+ ][1-9]\d{6,14}$/.test(url.searchParams.get('from') ?? '')) issue.addIssue('must end with ?from= and the number to send from, its + written as %2B');
});

const storeName = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const namedStore = z.strictObject({ url: storeUrl, accessKeyId: text.optional(), secretAccessKey: text.optional() });

/** A further store, by the name that workspaces choose it by. */
export interface NamedStore {
  readonly name: string;
  readonly url: string;
  /** Null: by the usual AWS variables. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | null;
}

const namedStores = text.transform((value, issue): readonly NamedStore[] => {
  let json: unknown;
  try {
    json = JSON.parse(value);
  } catch {
    issue.addIssue('must be a JSON object such as {"offsite":{"url":"s3://bucket/prefix?region=eu-central-1"}}');
    return z.NEVER;
  }
  const parsed = z.record(z.string().regex(storeName, 'a name has 1 to 63 lower-case letters, digits and hyphens'), namedStore).safeParse(json);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) issue.addIssue(`${path.join('.')}: ${message}`);
    return z.NEVER;
  }
  return Object.entries(parsed.data).map(([name, { url: address, accessKeyId, secretAccessKey }]) => {
    if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) issue.addIssue(`${name}: accessKeyId and secretAccessKey go together`);
    return { name, url: address, credentials: accessKeyId === undefined || secretAccessKey === undefined ? null : { accessKeyId, secretAccessKey } };
  });
});

function isAddressRange(value: string): boolean {
  const [address = '', bits, ...rest] = value.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

const proxies = list.refine(
  (all) => all.every((one) => ['loopback', 'linklocal', 'uniquelocal'].includes(one) || isAddressRange(one)),
  'must be a comma-separated list of addresses or ranges such as 10.0.0.0/8, or loopback, linklocal, uniquelocal',
);

const targets = list.refine(
  (all) => all.every((one) => isAddressRange(one) || /^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?(:\d{1,5})?$/.test(one) || /^\[[0-9a-fA-F:.]+\](:\d{1,5})?$/.test(one)),
  'must be a comma-separated list of hosts, host:port or address ranges',
);

const claimMap = z
  .strictObject({
    subject: text.default('sub'),
    email: text.default('email'),
    phone: text.default('phone_number'),
    name: text.default('name'),
    tenant: text.default('tenant'),
    role: text.default('role'),
    provider: text.default('provider'),
  })
  .readonly();

export type JwtClaimMap = z.output<typeof claimMap>;

const claims = text.transform((value, issue): JwtClaimMap => {
  let json: unknown;
  try {
    json = JSON.parse(value);
  } catch {
    issue.addIssue('must be a JSON object such as {"tenant":"workspace","role":"backup_role"}');
    return z.NEVER;
  }
  const parsed = claimMap.safeParse(json);
  if (parsed.success) return parsed.data;
  for (const { path, message } of parsed.error.issues) issue.addIssue(path.length > 0 ? `claim ${path.join('.')}: ${message}` : message);
  return z.NEVER;
});

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/**
 * Every variable that Holdfast reads, in the order of the documentation's table (`docs/configuration.md`; a test
 * compares the two). Checks that concern two variables are in `checkTogether`.
 */
export const environmentSchema = z.object({
  NODE_ENV: noted(z.enum(['development', 'production', 'test'], 'must be development, production or test').default('development'), {
    description: '`production` refuses embedded servers, generated keys, the demo workspace and fault points.',
    default: 'development',
  }),
  DATABASE_URL: noted(url(['postgres:', 'postgresql:'], 'postgresql://user:password@host:5432/holdfast'), {
    description: "Holdfast's own PostgreSQL (14 or newer). `npm start` starts an embedded one where it is unset.",
    secret: true,
    required: true,
  }),
  MONGODB_URI: noted(mongodbUri.optional(), {
    description: 'The MongoDB of the demo workspace, used by `npm start` alone; a tenant brings its own target.',
    default: 'an embedded mongod',
    secret: true,
  }),
  MONGOD_BINARY: noted(text.optional(), {
    description: 'The `mongod` that `npm start` and the tests run.',
    default: '`mongod` on the PATH, else the cached copy, else a download',
  }),
  MONGO_TOOLS_DIR: noted(text.optional(), {
    description: 'The folder of `mongodump` and `mongorestore`; only tests use them.',
    default: 'the PATH',
  }),
  BACKUP_ENCRYPTION_KEY: noted(z.string().optional(), {
    description:
      'The key that archives are encrypted with: base64 of 32 bytes, or `<id>:<base64>`. Missing, empty or malformed, the server runs and says so, and no backup or restore starts.',
    default: 'none; `npm start` makes a key file where it is unset (an empty value means no key)',
    secret: true,
  }),
  BACKUP_ENCRYPTION_KEYS_OLD: noted(
    list
      .refine((all) => all.every((one) => base64Of32Bytes(one.slice(one.lastIndexOf(':') + 1))), 'must be a comma-separated list of keys, each base64 of 32 bytes or <id>:<base64>')
      .default([]),
    {
      description: 'Earlier keys, comma-separated, in the same form: archives that they encrypted can still be read.',
      default: 'none',
      secret: true,
    },
  ),
  HOLDFAST_HOST: noted(text.default('127.0.0.1'), { description: 'The address to listen on; `0.0.0.0` for every one.', default: '127.0.0.1' }),
  HOLDFAST_PORT: noted(wholeNumber(1, 65_535).default(4000), { description: 'The port of the API: GraphQL, downloads, uploads and health.', default: '4000' }),
  HOLDFAST_PUBLIC_URL: noted(url(['http:', 'https:'], 'https://backup.example.com').optional(), {
    description: 'The address that users reach the API by; download links begin with it.',
    default: '`http://<host>:<port>`',
  }),
  HOLDFAST_SMTP_URL: noted(url(['smtp:', 'smtps:'], 'smtps://user:password@mail.example.com').optional(), {
    description: 'The mail server that codes and notices are sent over. Goes with `HOLDFAST_MAIL_FROM`.',
    default: 'none: no e-mail is sent',
    secret: true,
  }),
  HOLDFAST_MAIL_FROM: noted(text.regex(/^[^\r\n]*@[^\r\n]*$/, 'must be an address such as Holdfast <backup@example.com>').optional(), {
    description: 'Who e-mail comes from, such as `Holdfast <backup@example.com>`.',
    default: 'none',
  }),
  HOLDFAST_SMS_URL: noted(smsUrl.optional(), {
    description: 'The provider that codes are sent over by SMS, with the HTTP interface of Twilio: `https://<account sid>:<auth token>@api.twilio.com?from=%2B4930123456`. `outbox:` writes them to `<data folder>/outbox` instead, for developers; refused in production.',
    default: 'none: no SMS is sent',
    secret: true,
  }),
  HOLDFAST_DRILL_URI: noted(mongodbUri.optional(), {
    description: 'The MongoDB server that restore drills make their scratch databases on.',
    default: "each workspace's own server",
    secret: true,
  }),
  HOLDFAST_SUPPORT_URL: noted(url(['http:', 'https:', 'mailto:'], 'https://example.com/support or mailto:help@example.com').optional(), {
    description: 'Where users get help from people; help texts and `Viewer.supportUrl` lead there.',
    default: 'none',
  }),
  HOLDFAST_HELP_URL: noted(url(['http:', 'https:'], 'https://example.com/help').optional(), {
    description: 'The help pages of the product; help texts and `Viewer.helpUrl` lead there.',
    default: 'none',
  }),
  HOLDFAST_ROLE: noted(z.enum(['all', 'api', 'worker'], 'must be all, api or worker').default('all'), {
    description: '`api` answers requests, `worker` runs the long work, `all` does both in one process.',
    default: 'all',
  }),
  HOLDFAST_DATA_DIR: noted(text.default('.holdfast').transform((path) => resolve(path)), {
    description: 'Where the embedded servers, the generated keys and the local archive store live.',
    default: './.holdfast',
  }),
  HOLDFAST_CACHE_DIR: noted(text.optional().transform((path) => resolve(path ?? `${homedir()}/.cache/holdfast`)), {
    description: 'Where a downloaded `mongod` is kept, for every clone on this machine.',
    default: '~/.cache/holdfast',
  }),
  HOLDFAST_STORE_URL: noted(storeUrl.optional(), {
    description: 'Where archives are stored: `file:///path`, or `s3://bucket/prefix?endpoint=&region=` with credentials by the usual AWS variables; `objectLock=` and `objectLockDays=` keep archives from being deleted (docs/storage.md).',
    default: '`file://<data folder>/store`',
  }),
  HOLDFAST_STORES: noted(namedStores.default([]), {
    description: 'Further stores that workspaces may have their backups copied to: a JSON object of names, each with `url` as above and, for S3, `accessKeyId` and `secretAccessKey` (docs/storage.md).',
    default: 'none',
    secret: true,
  }),
  HOLDFAST_SECRET_KEY: noted(text.refine(base64Of32Bytes, 'must be base64 of 32 bytes, as `openssl rand -base64 32` prints it'), {
    description: "Encrypts the tenants' connection strings and signs tokens: base64 of 32 bytes. `npm start` makes a key file where it is unset.",
    secret: true,
    required: true,
  }),
  HOLDFAST_ADMIN_EMAIL: noted(z.email('must be an e-mail address').optional(), {
    description: "The provider's administrator, made or updated whenever a process starts that answers requests.",
    default: 'none; `npm start` makes one',
  }),
  HOLDFAST_ADMIN_PASSWORD: noted(z.string().min(12, 'must have at least 12 characters').max(200, 'must have at most 200 characters').optional(), {
    description: "The administrator's password, at least 12 characters.",
    default: 'none; `npm start` makes one',
    secret: true,
  }),
  HOLDFAST_JWKS_URL: noted(url(['http:', 'https:'], 'https://product.example.com/.well-known/jwks.json').optional(), {
    description: "The public keys of a host product whose own tokens are accepted. Goes with `HOLDFAST_JWT_ISSUER` and `HOLDFAST_JWT_AUDIENCE`.",
    default: 'none',
  }),
  HOLDFAST_JWT_ISSUER: noted(text.optional(), { description: "The `iss` that a host product's token must carry.", default: 'none' }),
  HOLDFAST_JWT_AUDIENCE: noted(text.optional(), { description: "The `aud` that a host product's token must carry.", default: 'none' }),
  HOLDFAST_JWT_CLAIMS: noted(claims.default(claimMap.parse({})), {
    description: "Which claim of a host product's token holds what: a JSON object with any of `subject`, `email`, `phone`, `name`, `tenant`, `role`, `provider`.",
    default: 'sub, email, phone_number, name, tenant, role, provider',
  }),
  HOLDFAST_TRUSTED_PROXIES: noted(proxies.default([]), {
    description: 'Proxies whose `X-Forwarded-For` is believed: addresses, ranges, `loopback`, `linklocal` or `uniquelocal`.',
    default: 'none',
  }),
  HOLDFAST_TARGET_ALLOW: noted(targets.default([]), {
    description: "Loopback and link-local hosts, `host:port` or ranges that a target, a webhook or a notifier may name in production all the same.",
    default: 'none',
  }),
  HOLDFAST_LOG_LEVEL: noted(z.enum(logLevels, `must be one of ${logLevels.join(', ')}`).default('info'), {
    description: `How much is logged: ${logLevels.map((level) => `\`${level}\``).join(', ')}.`,
    default: 'info',
  }),
  HOLDFAST_INTROSPECTION: noted(flag.optional(), {
    description: 'Whether the schema can be read over the API and `/graphql` shows the sandbox page.',
    default: 'true, in production false',
  }),
  HOLDFAST_RATE_PER_MINUTE: limit(3000, 1, 1_000_000, 'Requests that one actor may send in a minute.'),
  HOLDFAST_MAX_DEPTH: limit(12, 1, 100, 'How deep a GraphQL document may nest.'),
  HOLDFAST_MAX_COST: limit(1000, 1, 1_000_000, 'The cost that a GraphQL document may have.'),
  HOLDFAST_MAX_ALIASES: limit(30, 0, 10_000, 'How many aliases a GraphQL document may use.'),
  HOLDFAST_SOCKETS_PER_ACTOR: limit(100, 1, 1_000_000, 'WebSockets that one actor may have open at once with one process; a further one is closed with 1013.'),
  HOLDFAST_FULL_READS: limit(8, 1, 1000, 'Restore plans that one process makes at once of archives that are read whole (`fullRead`, and archives of the public tools).'),
  HOLDFAST_FULL_READS_PER_TENANT: limit(2, 1, 1000, 'The same of one workspace.'),
  HOLDFAST_LOGIN_TRIES: limit(10, 1, 1000, 'Failed logins per account and address in 15 minutes.'),
  HOLDFAST_LOGIN_TRIES_PER_ADDRESS: limit(100, 1, 1_000_000, 'Failed logins per address in 15 minutes, whatever the accounts or cron keys were; the first 64 bits of IPv6 are one address. Behind a proxy that HOLDFAST_TRUSTED_PROXIES does not name everybody has the same.'),
  HOLDFAST_WORKER_CONCURRENCY: limit(2, 1, 64, 'Operations that one worker runs side by side.'),
  HOLDFAST_BACKUP_CONCURRENCY: limit(2, 1, 16, 'Collections that one backup reads side by side; each costs memory.'),
  HOLDFAST_MAX_BYTES_PER_SECOND: noted(wholeNumber(65_536, Number.MAX_SAFE_INTEGER).optional(), {
    description: "What backups read of one workspace's database, and restores write, in a second, where the workspace has no limit of its own (`Tenant.maxBytesPerSecond`); at least 65536 (docs/policies.md).",
    default: 'none: as fast as it goes',
  }),
  HOLDFAST_MAINTENANCE_WAIT_SECONDS: noted(wholeNumber(0, 3600).optional(), {
    description: 'How long a restore waits for the product to confirm that its users are out, before it replaces data.',
    default: '30 where the workspace has a maintenance webhook, else 0',
  }),
  HOLDFAST_MAX_UPLOAD_BYTES: limit(107_374_182_400, 1, 53_687_091_200_000, 'The largest file that may be uploaded, in bytes.'),
  HOLDFAST_UPLOADS_PER_HOUR: limit(60, 1, 100_000, 'Uploads that one workspace may begin in an hour.'),
  HOLDFAST_TENANT_GRACE_DAYS: limit(30, 1, 3650, 'Days in which the deletion of a workspace can be taken back; then its archives go.'),
  HOLDFAST_METRICS_TOKEN: noted(text.min(16, 'must have at least 16 characters').optional(), {
    description: 'Whoever reads `/metrics` sends it as `Authorization: Bearer <token>`; at least 16 characters.',
    default: 'none: `/metrics` answers this machine alone',
    secret: true,
  }),
  HOLDFAST_METRICS_TENANTS: limit(500, 0, 100_000, 'Workspaces that have a label of their own in `/metrics`, those with the oldest backup first.'),
  HOLDFAST_OTEL_ENDPOINT: noted(url(['http:', 'https:'], 'http://127.0.0.1:4318').optional(), {
    description: 'Where traces are sent, by OTLP over HTTP; `/v1/traces` is added.',
    default: '`OTEL_EXPORTER_OTLP_ENDPOINT`',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: noted(url(['http:', 'https:'], 'http://127.0.0.1:4318').optional(), {
    description: 'The same by its usual name.',
    default: 'none: nothing is traced, and nothing of OpenTelemetry is loaded',
  }),
  HOLDFAST_SHUTDOWN_DRAIN_SECONDS: limit(0, 0, 300, 'How long a process that is told to end goes on answering requests, with 503 at `/readyz`, before it waits for their end.'),
  HOLDFAST_SHUTDOWN_GRACE_SECONDS: limit(10, 0, 3600, 'How long running operations and requests may go on then; after it backups are handed over to another worker and other uncommitted work is stopped.'),
  HOLDFAST_RETENTION_MAX_PER_RUN: limit(20, 1, 10_000, 'Old backups that are deleted of one workspace in one run; there is one an hour.'),
  HOLDFAST_AUDIT_RETENTION_YEARS: limit(10, 1, 100, 'Years that audit events are kept.'),
  HOLDFAST_FAULT_POINTS: noted(list.default([]), {
    description: 'Points at which the program fails on purpose, for tests; refused in production.',
    default: 'none',
  }),
});

export type Environment = z.output<typeof environmentSchema>;
export type VariableName = keyof typeof environmentSchema.shape;

export const variableNames = Object.keys(environmentSchema.shape) as VariableName[];

export function variableNotes(name: VariableName): VariableNotes {
  return environmentSchema.shape[name].meta() as unknown as VariableNotes;
}

/** Rules that concern more than one variable; each problem names the variable to change. */
export function checkTogether(env: Partial<Environment>): string[] {
  const problems: string[] = [];
  const production = env.NODE_ENV === 'production';
  if (production && (env.HOLDFAST_FAULT_POINTS?.length ?? 0) > 0) problems.push('HOLDFAST_FAULT_POINTS: refused when NODE_ENV is production');
  if (env.HOLDFAST_ADMIN_EMAIL !== undefined && env.HOLDFAST_ADMIN_PASSWORD === undefined) problems.push('HOLDFAST_ADMIN_PASSWORD: must be set together with HOLDFAST_ADMIN_EMAIL');
  if (env.HOLDFAST_ADMIN_PASSWORD !== undefined && env.HOLDFAST_ADMIN_EMAIL === undefined) problems.push('HOLDFAST_ADMIN_EMAIL: must be set together with HOLDFAST_ADMIN_PASSWORD');
  if (env.HOLDFAST_SMTP_URL !== undefined && env.HOLDFAST_MAIL_FROM === undefined) problems.push('HOLDFAST_MAIL_FROM: must be set together with HOLDFAST_SMTP_URL');
  if (production && env.HOLDFAST_SMS_URL !== undefined && !env.HOLDFAST_SMS_URL.startsWith('https:')) problems.push('HOLDFAST_SMS_URL: must begin with https:// when NODE_ENV is production');
  const hostProduct = ['HOLDFAST_JWKS_URL', 'HOLDFAST_JWT_ISSUER', 'HOLDFAST_JWT_AUDIENCE'] as const;
  const given = hostProduct.filter((name) => env[name] !== undefined);
  if (given.length > 0) {
    for (const name of hostProduct) if (env[name] === undefined) problems.push(`${name}: must be set together with ${given.join(' and ')}`);
  }
  if (production && env.HOLDFAST_JWKS_URL?.startsWith('http:')) problems.push('HOLDFAST_JWKS_URL: must be https:// when NODE_ENV is production');
  return problems;
}
