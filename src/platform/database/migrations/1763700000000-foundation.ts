import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Tenants, accounts, members, operations, backups, restore plans, downloads and the audit log. */
export class Foundation1763700000000 implements MigrationInterface {
  name = 'Foundation1763700000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table tenant (
        id uuid primary key,
        slug text not null unique,
        name text not null,
        environment text not null check (environment in ('SANDBOX', 'PRODUCTION')),
        engine text not null check (engine in ('MONGODB', 'POSTGRESQL', 'MYSQL')),
        time_zone text not null,
        target_cipher bytea not null,
        target_deployment text not null,
        target_database text not null,
        target_revision integer not null default 1,
        policy jsonb not null default '{}',
        quota_bytes bigint,
        suspended_at timestamptz,
        maintenance_since timestamptz,
        maintenance_message text,
        maintenance_operation_id uuid,
        maintenance_acknowledged_at timestamptz,
        session_epoch integer not null default 0,
        fuzzy_only boolean not null default false,
        revision integer not null default 1,
        created_at timestamptz(3) not null default now(),
        updated_at timestamptz not null default now(),
        unique (target_deployment, target_database)
      );
      create index tenant_created on tenant (created_at desc, id desc);

      create table account (
        id uuid primary key,
        email text not null,
        name text,
        phone text,
        time_zone text not null default 'UTC',
        password_hash text,
        -- The tenant whose member made the account; null: the provider. Other tenants' members cannot take it in.
        home_tenant_id uuid references tenant (id),
        is_provider boolean not null default false,
        token_epoch integer not null default 0,
        created_at timestamptz(3) not null default now()
      );
      create unique index account_email on account (lower(email));

      create table revoked_token (
        token_id uuid primary key,
        expires_at timestamptz not null
      );

      create table login_failure (
        id bigint generated always as identity primary key,
        email text not null,
        address text not null,
        failed_at timestamptz not null default now()
      );
      create index login_failure_recent on login_failure (email, address, failed_at);

      create table member (
        id uuid primary key,
        tenant_id uuid not null references tenant (id),
        email text not null,
        name text,
        phone text,
        -- The embedded account that the membership is for; a host product's token matches by e-mail instead.
        account_id uuid references account (id),
        role text not null check (role in ('OWNER', 'ADMIN', 'OPERATOR', 'RESTORER', 'VIEWER')),
        created_at timestamptz(3) not null default now(),
        created_by jsonb
      );
      create unique index member_email on member (tenant_id, lower(email));
      create index member_by_account on member (account_id);
      create index member_by_email on member (lower(email));
      create index member_created on member (tenant_id, created_at desc, id desc);

      create table operation (
        id uuid primary key,
        tenant_id uuid not null references tenant (id),
        kind text not null,
        state text not null check (state in ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELED')),
        exclusive boolean not null,
        phase text not null default 'QUEUED',
        steps jsonb not null default '[]',
        progress jsonb not null default '{"percent":null,"bytesDone":0,"bytesTotal":null,"itemsDone":0,"itemsTotal":null,"current":null,"etaMs":null}',
        revision integer not null default 1,
        input jsonb not null,
        journal jsonb not null default '{}',
        -- Past the commit point: recovery only goes forward, cancel is refused.
        committed boolean not null default false,
        cancel_requested_at timestamptz,
        deadline timestamptz not null,
        lease_owner text,
        lease_until timestamptz,
        fencing_token bigint not null default 0,
        -- How often recovery was tried in vain; each time the next try waits longer.
        recoveries integer not null default 0,
        failure jsonb,
        result jsonb,
        started_by jsonb,
        backup_id uuid,
        plan_id uuid,
        created_at timestamptz(3) not null default now(),
        started_at timestamptz,
        finished_at timestamptz,
        -- Set once the rows of the feature agree with the final state.
        settled_at timestamptz
      );
      create unique index operation_exclusive on operation (tenant_id) where exclusive and state in ('QUEUED', 'RUNNING');
      create index operation_unfinished on operation (lease_until) where state in ('QUEUED', 'RUNNING');
      create index operation_unsettled on operation (finished_at) where settled_at is null and finished_at is not null;
      create index operation_created on operation (tenant_id, created_at desc, id desc);

      create table operation_log (
        id bigint generated always as identity primary key,
        operation_id uuid not null references operation (id) on delete cascade,
        at timestamptz not null default clock_timestamp(),
        level text not null check (level in ('INFO', 'WARN', 'ERROR')),
        message text not null
      );
      create index operation_log_by_operation on operation_log (operation_id, id);

      create table idempotency_key (
        actor_id text not null,
        key text not null,
        input_hash text not null,
        operation_id uuid not null references operation (id) on delete cascade,
        created_at timestamptz(3) not null default now(),
        primary key (actor_id, key)
      );
      create index idempotency_key_created on idempotency_key (created_at);

      create table backup (
        id uuid primary key,
        tenant_id uuid not null references tenant (id),
        operation_id uuid references operation (id),
        name text not null,
        description text,
        notes text,
        label text not null,
        trigger text not null check (trigger in ('MANUAL', 'SCHEDULE', 'CRON', 'SAFETY', 'IMPORT')),
        scope text not null check (scope in ('ALL', 'TRANSACTIONS', 'MASTER')),
        codec text not null check (codec in ('NONE', 'GZIP', 'ZSTD')),
        state text not null check (state in ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELED', 'DELETED', 'MISSING')),
        store_key text,
        file_name text,
        encrypted boolean not null default true,
        key_id text,
        salt bytea,
        sha256 text,
        size_bytes bigint,
        raw_size_bytes bigint,
        documents bigint,
        contents jsonb not null default '[]',
        consistency text check (consistency in ('SNAPSHOT', 'FUZZY')),
        cluster_time text,
        engine_version text,
        pinned boolean not null default false,
        held boolean not null default false,
        expires_at timestamptz,
        verification jsonb,
        failure jsonb,
        created_by jsonb,
        created_at timestamptz(3) not null default now(),
        finished_at timestamptz,
        deleted_at timestamptz
      );
      create index backup_created on backup (tenant_id, created_at desc, id desc);
      create index backup_good on backup (tenant_id, finished_at desc) where state = 'COMPLETED';
      create unique index backup_store_key on backup (store_key) where store_key is not null and state <> 'DELETED';

      create table restore_plan (
        id uuid primary key,
        tenant_id uuid not null references tenant (id),
        backup_id uuid references backup (id),
        mode text not null check (mode in ('REPLACE', 'MERGE')),
        -- What the plan binds: stored hash, target revision, tenant name, live collection UUIDs.
        bound jsonb not null,
        checks jsonb not null,
        changes jsonb not null,
        data_loss_since timestamptz,
        estimate jsonb,
        operation_id uuid references operation (id),
        created_by jsonb,
        created_at timestamptz(3) not null default now(),
        expires_at timestamptz not null,
        used_at timestamptz
      );
      create index restore_plan_created on restore_plan (tenant_id, created_at desc);

      create table download (
        id uuid primary key,
        tenant_id uuid not null references tenant (id),
        backup_id uuid not null references backup (id),
        variant text not null check (variant in ('ARCHIVE', 'DECRYPTED')),
        token_hash bytea not null unique,
        expires_at timestamptz not null,
        spent_at timestamptz,
        -- Byte ranges that have gone out, end excluded.
        sent jsonb not null default '[]',
        created_by jsonb,
        created_at timestamptz(3) not null default now()
      );

      create table audit_event (
        id uuid primary key,
        tenant_id uuid references tenant (id),
        at timestamptz(3) not null default clock_timestamp(),
        action text not null,
        outcome text not null check (outcome in ('OK', 'REFUSED', 'FAILED')),
        actor jsonb,
        address text,
        subject_type text,
        subject_id text,
        detail jsonb not null default '{}'
      );
      create index audit_event_by_tenant on audit_event (tenant_id, at desc, id desc);
      create function audit_event_append_only() returns trigger language plpgsql as $$
        begin raise exception 'audit_event is append only'; end $$;
      create trigger audit_event_append_only before update or delete on audit_event
        for each row execute function audit_event_append_only();
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop table audit_event, download, restore_plan, backup, idempotency_key, operation_log, operation, member, login_failure,
        revoked_token, account, tenant cascade;
      drop function audit_event_append_only();
    `);
  }
}
