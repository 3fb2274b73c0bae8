import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import type { Environment, JwtClaimMap, NamedStore } from './env.schema.js';
import { parseEnvironment, type RawEnvironment } from './parse-environment.js';

export interface HostProductTokens {
  readonly jwksUrl: string;
  readonly issuer: string;
  readonly audience: string;
  readonly claims: JwtClaimMap;
}

export interface SmsAccount {
  /** Without a login. */
  readonly url: string;
  readonly accountSid: string;
  readonly authToken: string;
  /** The sender, in E.164. */
  readonly from: string;
}

export interface RequestLimits {
  readonly requestsPerMinute: number;
  readonly maxDepth: number;
  readonly maxCost: number;
  readonly maxAliases: number;
  /** Open at once, in one process. */
  readonly socketsPerActor: number;
  /** Restore plans that read an archive whole, at once in one process. */
  readonly fullReads: number;
  readonly fullReadsPerTenant: number;
  /** Failed logins per account and address in 15 minutes. */
  readonly loginTries: number;
  /** The same over all accounts. */
  readonly loginTriesPerAddress: number;
}

/** The checked configuration of one process. Injectable by its class; tests make one with `AppConfig.from({...})`. */
export class AppConfig {
  readonly nodeEnv: 'development' | 'production' | 'test';
  readonly isProduction: boolean;
  readonly role: 'all' | 'api' | 'worker';
  readonly runsApi: boolean;
  readonly runsWorker: boolean;
  readonly databaseUrl: string;
  readonly host: string;
  readonly port: number;
  /** Without a slash at its end. */
  readonly publicUrl: string;
  /** Null: no e-mail is sent. */
  readonly mail: { readonly smtpUrl: string; readonly from: string } | null;
  /** Null: no SMS is sent. OUTBOX: they are written to files. */
  readonly sms: SmsAccount | 'OUTBOX' | null;
  /** Null: each tenant's own server. */
  readonly drillUri: string | null;
  readonly supportUrl: string | null;
  readonly helpUrl: string | null;
  readonly dataDir: string;
  readonly storeUrl: string;
  /** 32 bytes. */
  readonly secretKey: Buffer;
  /** As it was given: undefined if unset, '' if emptied on purpose, possibly malformed. */
  readonly backupEncryptionKey: string | undefined;
  readonly backupEncryptionKeysOld: readonly string[];
  readonly admin: { readonly email: string; readonly password: string } | null;
  readonly hostProduct: HostProductTokens | null;
  readonly trustedProxies: readonly string[];
  readonly targetAllow: readonly string[];
  readonly logLevel: Environment['HOLDFAST_LOG_LEVEL'];
  readonly introspection: boolean;
  readonly limits: RequestLimits;
  /** Operations that one worker runs side by side. */
  readonly workerConcurrency: number;
  /** Collections that one backup reads side by side. */
  readonly backupConcurrency: number;
  /** Of each tenant without a limit of its own; null: as fast as it goes. */
  readonly maxBytesPerSecond: number | null;
  /** Null: it depends on whether the workspace has a webhook. */
  readonly maintenanceWaitMs: number | null;
  readonly maxUploadBytes: number;
  /** Per tenant. */
  readonly uploadsPerHour: number;
  readonly tenantGraceDays: number;
  /** Further ones, for copies. */
  readonly stores: readonly NamedStore[];
  readonly faultPoints: readonly string[];
  /** Backups of one tenant. */
  readonly retentionMaxPerRun: number;
  readonly auditRetentionYears: number;
  readonly shutdownDrainMs: number;
  readonly shutdownGraceMs: number;
  /** Null: `/metrics` answers this machine alone. */
  readonly metricsToken: string | null;
  /** Workspaces with a label of their own in `/metrics`. */
  readonly metricsTenants: number;
  /** Without a slash at its end; null: nothing is traced. */
  readonly otelEndpoint: string | null;

  constructor(env: Environment) {
    this.nodeEnv = env.NODE_ENV;
    this.isProduction = env.NODE_ENV === 'production';
    this.role = env.HOLDFAST_ROLE;
    this.runsApi = env.HOLDFAST_ROLE !== 'worker';
    this.runsWorker = env.HOLDFAST_ROLE !== 'api';
    this.databaseUrl = env.DATABASE_URL;
    this.host = env.HOLDFAST_HOST;
    this.port = env.HOLDFAST_PORT;
    this.publicUrl = (env.HOLDFAST_PUBLIC_URL ?? ownUrl(env.HOLDFAST_HOST, env.HOLDFAST_PORT)).replace(/\/+$/, '');
    this.mail = env.HOLDFAST_SMTP_URL !== undefined && env.HOLDFAST_MAIL_FROM !== undefined ? { smtpUrl: env.HOLDFAST_SMTP_URL, from: env.HOLDFAST_MAIL_FROM } : null;
    this.sms = env.HOLDFAST_SMS_URL === undefined ? null : smsOf(env.HOLDFAST_SMS_URL);
    this.drillUri = env.HOLDFAST_DRILL_URI ?? null;
    this.supportUrl = env.HOLDFAST_SUPPORT_URL ?? null;
    this.helpUrl = env.HOLDFAST_HELP_URL ?? null;
    this.dataDir = env.HOLDFAST_DATA_DIR;
    this.storeUrl = env.HOLDFAST_STORE_URL ?? pathToFileURL(join(env.HOLDFAST_DATA_DIR, 'store')).href;
    this.stores = env.HOLDFAST_STORES;
    this.secretKey = Buffer.from(env.HOLDFAST_SECRET_KEY, 'base64');
    this.backupEncryptionKey = env.BACKUP_ENCRYPTION_KEY;
    this.backupEncryptionKeysOld = env.BACKUP_ENCRYPTION_KEYS_OLD;
    this.admin =
      env.HOLDFAST_ADMIN_EMAIL !== undefined && env.HOLDFAST_ADMIN_PASSWORD !== undefined
        ? { email: env.HOLDFAST_ADMIN_EMAIL, password: env.HOLDFAST_ADMIN_PASSWORD }
        : null;
    this.hostProduct =
      env.HOLDFAST_JWKS_URL !== undefined && env.HOLDFAST_JWT_ISSUER !== undefined && env.HOLDFAST_JWT_AUDIENCE !== undefined
        ? { jwksUrl: env.HOLDFAST_JWKS_URL, issuer: env.HOLDFAST_JWT_ISSUER, audience: env.HOLDFAST_JWT_AUDIENCE, claims: env.HOLDFAST_JWT_CLAIMS }
        : null;
    this.trustedProxies = env.HOLDFAST_TRUSTED_PROXIES;
    this.targetAllow = env.HOLDFAST_TARGET_ALLOW;
    this.logLevel = env.HOLDFAST_LOG_LEVEL;
    this.introspection = env.HOLDFAST_INTROSPECTION ?? !this.isProduction;
    this.limits = {
      requestsPerMinute: env.HOLDFAST_RATE_PER_MINUTE,
      maxDepth: env.HOLDFAST_MAX_DEPTH,
      maxCost: env.HOLDFAST_MAX_COST,
      maxAliases: env.HOLDFAST_MAX_ALIASES,
      socketsPerActor: env.HOLDFAST_SOCKETS_PER_ACTOR,
      fullReads: env.HOLDFAST_FULL_READS,
      fullReadsPerTenant: env.HOLDFAST_FULL_READS_PER_TENANT,
      loginTries: env.HOLDFAST_LOGIN_TRIES,
      loginTriesPerAddress: env.HOLDFAST_LOGIN_TRIES_PER_ADDRESS,
    };
    this.workerConcurrency = env.HOLDFAST_WORKER_CONCURRENCY;
    this.backupConcurrency = env.HOLDFAST_BACKUP_CONCURRENCY;
    this.maxBytesPerSecond = env.HOLDFAST_MAX_BYTES_PER_SECOND ?? null;
    this.maintenanceWaitMs = env.HOLDFAST_MAINTENANCE_WAIT_SECONDS === undefined ? null : env.HOLDFAST_MAINTENANCE_WAIT_SECONDS * 1000;
    this.maxUploadBytes = env.HOLDFAST_MAX_UPLOAD_BYTES;
    this.uploadsPerHour = env.HOLDFAST_UPLOADS_PER_HOUR;
    this.tenantGraceDays = env.HOLDFAST_TENANT_GRACE_DAYS;
    this.faultPoints = env.HOLDFAST_FAULT_POINTS;
    this.shutdownDrainMs = env.HOLDFAST_SHUTDOWN_DRAIN_SECONDS * 1000;
    this.shutdownGraceMs = env.HOLDFAST_SHUTDOWN_GRACE_SECONDS * 1000;
    this.retentionMaxPerRun = env.HOLDFAST_RETENTION_MAX_PER_RUN;
    this.auditRetentionYears = env.HOLDFAST_AUDIT_RETENTION_YEARS;
    this.metricsToken = env.HOLDFAST_METRICS_TOKEN ?? null;
    this.metricsTenants = env.HOLDFAST_METRICS_TENANTS;
    this.otelEndpoint = (env.HOLDFAST_OTEL_ENDPOINT ?? env.OTEL_EXPORTER_OTLP_ENDPOINT)?.replace(/\/+$/, '') ?? null;
  }

  /** @throws ConfigurationError */
  static from(raw: RawEnvironment): AppConfig {
    return new AppConfig(parseEnvironment(raw).values);
  }

  /** For a command that needs the services and must neither answer requests nor take up work. */
  withoutWork(): AppConfig {
    return Object.assign(Object.create(AppConfig.prototype) as AppConfig, this, { runsApi: false, runsWorker: false });
  }

  /** It holds every secret of the process, so it never prints itself. */
  toJSON(): { role: string; host: string; port: number } {
    return { role: this.role, host: this.host, port: this.port };
  }

  [inspect.custom](): string {
    return `AppConfig(${this.role} on ${this.host}:${this.port})`;
  }
}

function smsOf(text: string): SmsAccount | 'OUTBOX' {
  if (text === 'outbox:') return 'OUTBOX';
  const { origin, username, password, searchParams } = new URL(text);
  // A + that was written as it is means a space in an address.
  const from = (searchParams.get('from') ?? '').replace(' ', '+');
  return { url: origin, accountSid: decodeURIComponent(username), authToken: decodeURIComponent(password), from };
}

function ownUrl(host: string, port: number): string {
  const reachable = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}
