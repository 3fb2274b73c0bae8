import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AppError } from '#errors';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { AppConfig } from '../config/app-config.js';
import type { Actor } from '../platform/auth/actor.js';
import type { Keyset, Page, PageOfRows } from '../platform/database/page.js';
import { notFound } from '../platform/graphql/global-id.js';
import { hashOfToken, newToken } from '../platform/secrets/link-token.js';
import type { HistoryFilter, HistoryRow } from './history-row.js';
import { HistoryRepository } from './history.repository.js';

const validForSeconds = 5 * 60;
const rowsAtOnce = 500;
const maxExportedRows = 100_000;

@Injectable()
export class HistoryService {
  constructor(
    private readonly config: AppConfig,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly repository: HistoryRepository,
  ) {}

  async list(actor: Actor, tenantId: string, filter: HistoryFilter, page: Page): Promise<PageOfRows<HistoryRow>> {
    return this.repository.page(await this.access.authorize(actor, tenantId, Permission.BACKUP_READ), filter, page);
  }

  async createExport(actor: Actor, tenantId: string, filter: HistoryFilter): Promise<{ readonly url: string; readonly expiresAt: Date }> {
    const scope = await this.access.authorize(actor, tenantId, Permission.BACKUP_READ);
    const count = await this.repository.count(scope, filter);
    if (count > maxExportedRows) throw new AppError('BAD_USER_INPUT', `The history has ${count} entries and a file holds ${maxExportedRows}: ask for a shorter time`);
    const token = newToken();
    const expiresAt = await this.repository.insertExport(scope, randomUUID(), token.hash, filter, validForSeconds);
    await this.audit.record({ action: 'history.exported', tenantId, actor });
    return { url: `${this.config.publicUrl}/exports/${token.text}`, expiresAt };
  }

  /** @throws AppError NOT_FOUND for a link that was used, has expired or never was; ADDRESS_REFUSED, which does not use it up */
  async openExport(token: string, address: string): Promise<{ readonly slug: string; readonly rows: AsyncIterable<HistoryRow> }> {
    const hash = hashOfToken(token);
    const scope = hash === null ? null : await this.repository.tenantOfExport(hash);
    if (hash === null || scope === null) throw notFound('Export');
    await this.access.requireAddress(scope, address, Permission.BACKUP_READ);
    const found = await this.repository.takeExport(hash);
    if (found === null) throw notFound('Export');
    return { slug: found.slug, rows: this.rows(found, found.filter) };
  }

  private async *rows(scope: { readonly tenantId: string }, filter: HistoryFilter): AsyncGenerator<HistoryRow> {
    let after: Keyset | null = null;
    for (;;) {
      const rows: HistoryRow[] = await this.repository.rows(scope, filter, { limit: rowsAtOnce, after });
      const page = rows.slice(0, rowsAtOnce);
      yield* page;
      const last = page.at(-1);
      if (last === undefined || rows.length <= rowsAtOnce) return;
      after = { at: last.at, id: last.id };
    }
  }
}
