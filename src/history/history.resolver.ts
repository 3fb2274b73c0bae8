import { Args, Mutation, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { pageOf, toConnection } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { fromGlobalId } from '../platform/graphql/global-id.js';
import { TenantModel } from '../tenants/tenant.model.js';
import { HistoryArgs, HistoryExportInput, HistoryExportPayload } from './dto/history.inputs.js';
import { HistoryConnection, toHistoryEntryModel } from './history-entry.js';
import { HistoryService } from './history.service.js';

@Resolver(() => TenantModel)
export class HistoryResolver {
  constructor(private readonly history: HistoryService) {}

  @ResolveField('history', () => HistoryConnection, { description: 'Every backup, restore, upload, deletion and other work in one list, newest first.' })
  async entries(@CurrentActor() actor: Actor, @Parent() tenant: TenantModel, @Args() args: HistoryArgs): Promise<HistoryConnection> {
    const page = pageOf(args);
    return toConnection(page, await this.history.list(actor, tenant.uuid, args.filter ?? {}, page), (row) => ({ at: row.at, id: row.id }), toHistoryEntryModel);
  }

  @Access(Permission.BACKUP_READ)
  @Mutation(() => HistoryExportPayload)
  historyExport(@CurrentActor() actor: Actor, @Args('input') input: HistoryExportInput): Promise<HistoryExportPayload> {
    return this.history.createExport(actor, fromGlobalId('Tenant', input.tenantId), input.filter ?? {});
  }
}
