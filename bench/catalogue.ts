/**
 * SQL that fills a control plane as that of a large installation: 1,000 tenants with 20 backups each, and all that comes with them. The first tenant has
 * 120 of everything, so that its pages are full. Rows alone: there are no databases and no archives behind them.
 */
export const catalogueTenants = 1_000;
export const catalogueBackups = 20;
const ofTheFirst = 120;

const actor = `'{"id": "account:catalogue", "kind": "PERSON", "email": "someone@catalogue.example", "name": "Someone"}'::jsonb`;
const failure = `'{"code": "TARGET_UNREACHABLE", "message": "The database does not answer", "retryable": true}'::jsonb`;
/** The same for the same row, with the marks of version and variant. */
const uuid = (kind: string, ...parts: readonly string[]): string => `overlay(overlay(md5('${kind}' || ${parts.join(` || '/' || `)}) placing '8' from 13) placing '8' from 17)::uuid`;
/** Rows of each tenant `t`, numbered `n`; `t.place` counts tenants from 1. */
const each = (count: number): string => `(select id, row_number() over (order by slug) as place from tenant where slug like 'catalogue-%') t, lateral generate_series(1, case when t.place = 1 then greatest(${count}, ${ofTheFirst}) else ${count} end) n`;
const at = `now() - n * interval '1 hour' - t.place * interval '1 second'`;

/** Run in this order by one connection that may leave triggers out: the audit chain would take longer than everything else. */
export const catalogueStatements: readonly string[] = [
  `set session_replication_role = replica`,
  `insert into tenant (id, slug, name, environment, engine, time_zone, target_cipher, target_deployment, target_database, created_at)
     select ${uuid('tenant', 'n')}, 'catalogue-' || lpad(n::text, 4, '0'), 'Workspace ' || n, 'PRODUCTION', 'MONGODB', 'Europe/Berlin', '\\x00', 'catalogue', 'db' || n, now() - n * interval '1 minute'
     from generate_series(1, ${catalogueTenants}) n`,
  `insert into operation (id, tenant_id, kind, state, exclusive, phase, input, deadline, started_by, backup_id, created_at, started_at, finished_at, settled_at)
     select ${uuid('operation', 't.id', 'n')}, t.id, 'BACKUP', 'COMPLETED', true, 'READ_BACK', '{}', now(), ${actor}, ${uuid('backup', 't.id', 'n')}, ${at}, ${at}, ${at}, ${at} from ${each(catalogueBackups)}`,
  `insert into backup (id, tenant_id, operation_id, name, label, trigger, scope, codec, state, store_key, file_name, key_id, size_bytes, raw_size_bytes, documents, contents, consistency, verification, created_by, created_at, finished_at, deleted_at)
     select ${uuid('backup', 't.id', 'n')}, t.id, ${uuid('operation', 't.id', 'n')}, 'Backup ' || n, 'daily', 'SCHEDULE', 'ALL', 'GZIP', case when n % 7 = 0 then 'DELETED' else 'COMPLETED' end,
       'catalogue/' || t.id || '/' || n, 'backup-' || n || '.hfa', 'key', 1000000, 4000000, 1000, '[{"name": "orders", "kind": "collection", "documents": 1000, "bytes": 4000000, "indexes": 2}]', 'SNAPSHOT',
       '{"at": "2026-01-01T00:00:00.000Z", "ok": true, "code": null, "message": "Read back whole"}', ${actor}, ${at}, ${at}, case when n % 7 = 0 then now() end from ${each(catalogueBackups)}`,
  // A restore in each tenant for every five backups, with its plan, its safety backup and its log.
  `insert into operation (id, tenant_id, kind, state, exclusive, phase, input, deadline, started_by, backup_id, plan_id, journal, result, created_at, started_at, finished_at, settled_at)
     select ${uuid('restore', 't.id', 'n')}, t.id, 'RESTORE', 'COMPLETED', true, 'CLEANUP', '{}', now(), ${actor}, ${uuid('backup', 't.id', 'n')}, ${uuid('plan', 't.id', 'n')},
       jsonb_build_object('finalSafetyId', ${uuid('safety', 't.id', 'n')}), '{"type": "RestoreResult", "dryRun": false, "bytesRead": 1000, "collections": [], "warnings": []}', ${at}, ${at}, ${at}, ${at} from ${each(4)}`,
  `insert into restore_plan (id, tenant_id, backup_id, mode, bound, checks, changes, operation_id, created_by, created_at, expires_at, used_at)
     select ${uuid('plan', 't.id', 'n')}, t.id, ${uuid('backup', 't.id', 'n')}, 'REPLACE',
       jsonb_build_object('source', jsonb_build_object('kind', 'BACKUP', 'backupId', ${uuid('backup', 't.id', 'n')}, 'fileName', 'backup.hfa', 'createdAt', now(), 'encrypted', true, 'keyId', 'key', 'sizeBytes', 1000000), 'tenantName', 'Workspace',
         'targetRevision', 1, 'live', '[]'::jsonb, 'choice', '{"mode": "REPLACE", "collections": null, "conflict": null}'::jsonb),
       '[]', '[]', ${uuid('restore', 't.id', 'n')}, ${actor}, ${at}, now(), now() from ${each(4)}`,
  `insert into backup (id, tenant_id, operation_id, name, label, trigger, scope, codec, state, store_key, file_name, key_id, size_bytes, documents, consistency, created_by, created_at, finished_at, expires_at)
     select ${uuid('safety', 't.id', 'n')}, t.id, ${uuid('restore', 't.id', 'n')}, 'Safety ' || n, 'safety', 'SAFETY', 'ALL', 'GZIP', 'COMPLETED', 'catalogue/' || t.id || '/safety-' || n, 'safety-' || n || '.hfa', 'key', 1000000, 1000, 'SNAPSHOT',
       ${actor}, ${at}, ${at}, now() + interval '7 days' from ${each(4)}`,
  `insert into operation (id, tenant_id, kind, state, exclusive, phase, input, deadline, started_by, backup_id, failure, created_at, started_at, finished_at, settled_at)
     select ${uuid('verify', 't.id', 'n')}, t.id, 'VERIFY', 'FAILED', false, 'VERIFY', '{}', now(), ${actor}, ${uuid('backup', 't.id', 'n')}, ${failure}, ${at}, ${at}, ${at}, ${at} from ${each(2)}`,
  `insert into operation_log (operation_id, at, level, message) select o.id, o.created_at, 'INFO', 'Line ' || n from operation o, generate_series(1, 3) n`,
  `insert into upload (id, tenant_id, purpose, state, file_name, size_bytes, sha256, token_hash, store_key, created_by, created_at, expires_at)
     select ${uuid('upload', 't.id', 'n')}, t.id, 'RESTORE', 'COMPLETED', 'upload-' || n || '.hfa', 1000, repeat('0', 64), decode(md5('token' || t.id || n), 'hex'), 'catalogue/' || t.id || '/upload-' || n, ${actor}, ${at}, now() from ${each(3)}`,
  `insert into audit_event (id, tenant_id, at, action, outcome, actor, address, subject_type, subject_id, detail, sequence, previous_hash, hash)
     select ${uuid('audit', 't.id', 'n')}, t.id, ${at}, case when n % 5 = 0 then 'upload.created' else 'backup.created' end, 'OK', ${actor}, '192.0.2.1', case when n % 5 = 0 then 'Upload' else 'Backup' end,
       case when n % 5 = 0 then ${uuid('upload', 't.id', 'n / 5')}::text else ${uuid('backup', 't.id', 'n')}::text end, '{"fileName": "a.hfa", "purpose": "RESTORE", "sizeBytes": 1000}', n, '\\x00', '\\x00' from ${each(30)}`,
  `insert into audit_event (id, at, action, outcome, actor, detail, sequence, previous_hash, hash)
     select ${uuid('login', 'n')}, now() - n * interval '1 minute', 'account.login', 'OK', ${actor}, '{}', n + 1000000, '\\x00', '\\x00' from generate_series(1, 5000) n`,
  `insert into alert (id, tenant_id, event, severity, subject, text, created_at, resolved_at)
     select ${uuid('alert', 't.id', 'n')}, t.id, 'BACKUP_FAILED', 'ERROR', ${uuid('operation', 't.id', 'n')}::text, 'The backup failed', ${at}, case when n > 2 then now() end from ${each(10)}`,
  `insert into notifier (id, tenant_id, name, channel, address_cipher, shown_address, min_severity, cooldown_minutes, created_by, created_at)
     select ${uuid('notifier', 't.id', 'n')}, t.id, 'Notifier ' || n, 'EMAIL', '\\x00', 's***@catalogue.example', 'WARNING', 60, ${actor}, ${at} from ${each(1)}`,
  `insert into notifier (id, name, channel, address_cipher, shown_address, min_severity, cooldown_minutes, created_by, created_at)
     select ${uuid('own-notifier', 'n')}, 'Notifier ' || n, 'EMAIL', '\\x00', 's***@catalogue.example', 'WARNING', 60, ${actor}, now() - n * interval '1 minute' from generate_series(1, ${ofTheFirst}) n`,
  `insert into api_key (id, tenant_id, name, permissions, key_hash, hint, created_by, created_at, expires_at)
     select ${uuid('api-key', 't.id', 'n')}, t.id, 'Key ' || n, '["BACKUP_READ"]', sha256(${uuid('api-key', 't.id', 'n')}::text::bytea), 'abcd', ${actor}, ${at}, now() + interval '1 year' from ${each(1)}`,
  `insert into api_key (id, name, permissions, key_hash, hint, created_by, created_at, expires_at)
     select ${uuid('own-api-key', 'n')}, 'Key ' || n, '["BACKUP_READ"]', sha256(${uuid('own-api-key', 'n')}::text::bytea), 'abcd', ${actor}, now() - n * interval '1 minute', now() + interval '1 year' from generate_series(1, ${ofTheFirst}) n`,
  `insert into alert_delivery (id, tenant_id, notifier_id, alert_id, event, state, attempts, created_at, finished_at)
     select ${uuid('alert-delivery', 't.id', 'n')}, t.id, ${uuid('notifier', 't.id', '1')}, ${uuid('alert', 't.id', '1')}, 'BACKUP_FAILED', 'DELIVERED', 1, ${at}, ${at} from ${each(5)}`,
  `insert into schedule (id, tenant_id, name, active, cadence, at_time, time_zone, scope, anchor, next_run_at, due_at, created_by, created_at)
     select ${uuid('schedule', 't.id', 'n')}, t.id, 'Schedule ' || n, true, 'DAILY_AT', '01:00', 'Europe/Berlin', 'ALL', now(), now() + interval '1 day', now() + interval '1 day', ${actor}, ${at} from ${each(2)}`,
  `insert into schedule_request (id, tenant_id, cadence, reason, created_by, created_at) select ${uuid('request', 't.id', 'n')}, t.id, 'DAILY_AT', 'More often', ${actor}, ${at} from ${each(1)}`,
  `insert into member (id, tenant_id, email, name, role, created_by, created_at)
     select ${uuid('member', 't.id', 'n')}, t.id, 'member-' || n || '-' || t.place || '@catalogue.example', 'Member', 'VIEWER', ${actor}, ${at} from ${each(3)}`,
  `insert into policy_change (id, tenant_id, at, by, key, old_value, new_value) select ${uuid('policy', 't.id', 'n')}, t.id, ${at}, ${actor}, 'pageSize', '50', '20' from ${each(2)}`,
  `insert into webhook (id, tenant_id, purpose, url, secret_cipher) select ${uuid('webhook', 't.id')}, t.id, 'MAINTENANCE', 'https://product.example/', '\\x00' from (select id from tenant where slug like 'catalogue-%') t`,
  `insert into webhook_delivery (id, tenant_id, webhook_id, event, body, state, attempts, created_at, finished_at)
     select ${uuid('webhook-delivery', 't.id', 'n')}, t.id, ${uuid('webhook', 't.id')}, 'maintenance.on', '{}', 'DELIVERED', 1, ${at}, ${at} from ${each(5)}`,
  `insert into proof_plan (tenant_id, verify_every_days, drill_every_days) select id, 7, 30 from tenant where slug like 'catalogue-%'`,
  `insert into class_rules (tenant_id, rules) select id, '[]' from tenant where slug like 'catalogue-%'`,
  `insert into cron_key (tenant_id, key_hash, hint) select id, '\\x00', 'abcd' from tenant where slug like 'catalogue-%'`,
  `insert into approval (id, tenant_id, action, subject_type, subject_id, summary, bound_hash, state, requested_by, created_at, expires_at)
     select ${uuid('approval', 't.id', 'n')}, t.id, 'RESTORE', 'Backup', ${uuid('backup', 't.id', '1')}, 'Replace the workspace', '\\x00', 'REQUESTED', ${actor}, ${at}, now() + interval '1 day' from ${each(2)}`,
  `insert into destination (id, tenant_id, store) select ${uuid('destination', 't.id')}, t.id, 'second' from (select id from tenant where slug like 'catalogue-%') t`,
  `insert into backup_copy (backup_id, store, tenant_id, state, store_key) select id, 'second', tenant_id, 'GOOD', store_key from backup where state = 'COMPLETED' and trigger <> 'SAFETY'`,
  `set session_replication_role = origin`,
  `vacuum analyze`,
];
