import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import type { Page, PageOfRows } from '../platform/database/page.js';
import { containing } from '../platform/database/text-search.js';
import type { HistoryFilter, HistoryRow } from './history-row.js';

/**
 * One list of what other features keep, in one statement: backups in every state, the operations that are more than the making of a backup, uploads, and
 * deletions. $1 is the tenant.
 */
const entries = `
  select b.id, b.created_at as at, b.finished_at, case b.trigger when 'IMPORT' then 'IMPORT' else 'BACKUP' end as kind, b.state, b.name, b.label, b.file_name, b.size_bytes, b.notes,
    b.created_by as actor, b.failure, b.operation_id, b.id as backup_id
  from backup b where b.tenant_id = $1
  union all
  select o.id, o.created_at, o.finished_at, o.kind, o.state, coalesce(b.name, u.file_name), null, coalesce(b.file_name, u.file_name), coalesce(b.size_bytes, u.size_bytes), b.notes,
    o.started_by, o.failure, o.id, b.id
  from operation o
    left join restore_plan p on p.id = o.plan_id
    left join backup b on b.id = coalesce(o.backup_id, p.backup_id)
    left join upload u on u.id = p.upload_id
  where o.tenant_id = $1 and o.kind not in ('BACKUP', 'IMPORT')
  union all
  select e.id, e.at, u.created_at, 'UPLOAD', case when u.state = 'OPEN' then 'RUNNING' when u.state = 'REFUSED' or (u.id is null and ended.action is not null) then 'FAILED' else 'COMPLETED' end,
    e.detail->>'fileName', lower(e.detail->>'purpose'), e.detail->>'fileName', (e.detail->>'sizeBytes')::bigint, null, e.actor, u.failure, null, u.backup_id
  from audit_event e
    left join upload u on u.id = e.subject_id::uuid
    left join lateral (select action from audit_event a where a.subject_id = e.subject_id and a.action in ('upload.refused', 'upload.abandoned') limit 1) ended on true
  where e.tenant_id = $1 and e.action = 'upload.created'
  union all
  select b.id, date_trunc('milliseconds', b.deleted_at), b.deleted_at, 'DELETE', case b.state when 'DELETED' then 'COMPLETED' else 'RUNNING' end, b.name, b.label, b.file_name, b.size_bytes, b.notes,
    e.actor, null, null, b.id
  from backup b left join lateral (select actor from audit_event a where a.subject_id = b.id::text and a.action = 'backup.deleted' order by at desc limit 1) e on true
  where b.tenant_id = $1 and b.deleted_at is not null`;

const columns = `id, at, finished_at as "finishedAt", kind, state, name, label, file_name as "fileName", size_bytes as "sizeBytes", notes, actor, failure, operation_id as "operationId", backup_id as "backupId"`;

@Injectable()
export class HistoryRepository {
  constructor(private readonly dataSource: DataSource) {}

  /** Newest first. */
  async page(scope: TenantScope, filter: HistoryFilter, page: Page): Promise<PageOfRows<HistoryRow>> {
    const totalCount = await this.count(scope, filter);
    return { rows: await this.rows(scope, filter, page), totalCount };
  }

  async count(scope: TenantScope, filter: HistoryFilter): Promise<number> {
    const { where, values } = conditionsOf(scope, filter);
    const [total]: { count: string }[] = await this.dataSource.query(`select count(*) as count from (${entries}) entry where ${where}`, values);
    return Number(total?.count ?? 0);
  }

  /** Up to `limit + 1`, as `page` has them. */
  rows(scope: TenantScope, filter: HistoryFilter, page: Page): Promise<HistoryRow[]> {
    const { where, values } = conditionsOf(scope, filter);
    const next = page.after === null ? '' : ` and (at, id) < ($${values.length + 1}, $${values.length + 2})`;
    const after = page.after === null ? [] : [page.after.at, page.after.id];
    return this.dataSource.query(`select ${columns} from (${entries}) entry where ${where}${next} order by at desc, id desc limit ${page.limit + 1}`, [...values, ...after]);
  }

  /** Returns when the link ends. What is long over goes. */
  async insertExport(scope: TenantScope, id: string, tokenHash: Buffer, filter: HistoryFilter, validForSeconds: number): Promise<Date> {
    await this.dataSource.query(`delete from history_export where expires_at < now() - interval '1 day'`);
    const [row]: { expires_at: Date }[] = await this.dataSource.query(
      `insert into history_export (id, tenant_id, token_hash, filter, expires_at) values ($1, $2, $3, $4, clock_timestamp() + $5 * interval '1 second') returning expires_at`,
      [id, scope.tenantId, tokenHash, JSON.stringify(filter), validForSeconds],
    );
    if (row === undefined) throw new Error('The link was not inserted');
    return row.expires_at;
  }

  async tenantOfExport(tokenHash: Buffer): Promise<TenantScope | null> {
    const rows: TenantScope[] = await this.dataSource.query('select tenant_id as "tenantId" from history_export where token_hash = $1', [tokenHash]);
    return rows[0] ?? null;
  }

  /** Spends the link; null where there is none that is open. */
  async takeExport(tokenHash: Buffer): Promise<{ readonly tenantId: string; readonly slug: string; readonly filter: HistoryFilter } | null> {
    const rows: { tenantId: string; slug: string; filter: HistoryFilter }[] = await this.dataSource.query(
      `with taken as (update history_export set spent_at = clock_timestamp() where token_hash = $1 and spent_at is null and expires_at > clock_timestamp() returning tenant_id, filter)
       select taken.tenant_id as "tenantId", tenant.slug, taken.filter from taken join tenant on tenant.id = taken.tenant_id`,
      [tokenHash],
    );
    const [row] = rows;
    if (row === undefined) return null;
    const { from, to } = row.filter;
    return { ...row, filter: { ...row.filter, from: from == null ? null : new Date(from), to: to == null ? null : new Date(to) } };
  }
}

function conditionsOf(scope: TenantScope, filter: HistoryFilter): { readonly where: string; readonly values: unknown[] } {
  const values: unknown[] = [scope.tenantId];
  const parts = ['true'];
  const add = (value: unknown, part: (place: string) => string) => {
    values.push(value);
    parts.push(part(`$${values.length}`));
  };
  if (filter.kinds && filter.kinds.length > 0) add(filter.kinds, (place) => `kind = any(${place})`);
  if (filter.states && filter.states.length > 0) add(filter.states, (place) => `state = any(${place})`);
  if (filter.user != null) add(filter.user, (place) => `(lower(actor->>'email') = lower(${place}) or actor->>'id' = ${place})`);
  if (filter.from != null) add(filter.from, (place) => `at >= ${place}`);
  if (filter.to != null) add(filter.to, (place) => `at < ${place}`);
  if (filter.text != null && filter.text !== '') {
    add(containing(filter.text), (place) => `concat_ws(' ', name, file_name, label, notes, actor->>'email', actor->>'name', failure->>'code', failure->>'message') ilike ${place}`);
  }
  return { where: parts.join(' and '), values };
}
