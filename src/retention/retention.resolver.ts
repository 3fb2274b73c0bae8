import { Args, Context, Mutation, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { BackupModel, toBackupModel } from '../backups/backup.model.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { pageOf, toConnection } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { toTenantModel } from '../tenants/tenant.model.js';
import { RetentionConfirmInput, RetentionConfirmPayload, RetentionPreviewArgs, RetentionPreviewInput } from './dto/retention.inputs.js';
import type { Verdict } from './judgement.js';
import { BackupRetentionModel, RetentionPreviewBackupConnection, RetentionPreviewModel } from './retention.model.js';
import { RetentionService } from './retention.service.js';

@Resolver(() => RetentionPreviewModel)
export class RetentionResolver {
  constructor(private readonly retention: RetentionService) {}

  @Access(Permission.BACKUP_READ)
  @Query(() => RetentionPreviewModel, { description: 'What rules would keep and delete now, before they are saved; without a rule: what the next run would do.' })
  async retentionPreview(@CurrentActor() actor: Actor, @Args('input') input: RetentionPreviewInput): Promise<RetentionPreviewModel> {
    const { tenantId, judgement, due, isHeldBack } = await this.retention.preview(actor, input);
    const dueBytes = due.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return { tenantId, judgement, keptCount: judgement.backups.length - due.length, dueCount: due.length, dueBytes, heldBack: isHeldBack };
  }

  @Access('provider')
  @Mutation(() => RetentionConfirmPayload, { description: 'Lets go what was held back because it looked like a mistake: of one workspace, or of all because of the clock.' })
  async retentionConfirm(@CurrentActor() actor: Actor, @Args('input') { tenantId }: RetentionConfirmInput): Promise<RetentionConfirmPayload> {
    const { confirmed, tenant } = await this.retention.confirm(actor, tenantId ?? null);
    return { confirmed, tenant: tenant && toTenantModel(tenant) };
  }

  @ResolveField(() => RetentionPreviewBackupConnection, { description: 'Newest first.' })
  async backups(@Parent() { tenantId, judgement }: RetentionPreviewModel, @Args() args: RetentionPreviewArgs): Promise<RetentionPreviewBackupConnection> {
    const page = pageOf(args);
    const found = await this.retention.page({ tenantId }, judgement, args.due ?? null, page);
    return toConnection(page, found, ({ backup }) => ({ at: backup.createdAt, id: backup.id }), ({ backup, verdict }) => ({ backup: toBackupModel(backup), retention: toModel(verdict) }));
  }
}

@Resolver(() => BackupModel)
export class BackupRetentionResolver {
  constructor(private readonly service: RetentionService) {}

  @ResolveField(() => BackupRetentionModel, { nullable: true, description: 'Why it is kept, and until when, by the rules as they are now; null of what is not stored.' })
  async retention(@Parent() backup: BackupModel, @Context() request: object): Promise<BackupRetentionModel | null> {
    const verdict = await this.service.verdictOf(request, backup);
    return verdict && toModel(verdict);
  }

  @ResolveField(() => Date, { nullable: true, description: 'Until when it is kept; null where nobody can say.' })
  async expiresAt(@Parent() backup: BackupModel, @Context() request: object): Promise<Date | null> {
    return backup.expiresAt ?? (await this.service.verdictOf(request, backup))?.until ?? null;
  }
}

function toModel({ due, reason, text, until }: Verdict): BackupRetentionModel {
  return { due, reason, text, keptUntil: until };
}
