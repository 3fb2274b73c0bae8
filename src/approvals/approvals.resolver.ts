import { Args, Mutation, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { PageArgs, pageOf, toConnection } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { fromGlobalId } from '../platform/graphql/global-id.js';
import { NodeRegistry } from '../platform/graphql/node-registry.js';
import { TenantModel } from '../tenants/tenant.model.js';
import { ApprovalConnection, toApprovalModel } from './approval.model.js';
import { ApprovalsService } from './approvals.service.js';
import { ApprovalDecideInput, ApprovalDecidePayload, ApprovalRequestInput, ApprovalRequestPayload } from './dto/approval.inputs.js';

@Resolver(() => TenantModel)
export class ApprovalsResolver {
  constructor(
    private readonly approvals: ApprovalsService,
    registry: NodeRegistry,
  ) {
    registry.register('Approval', async (actor, uuid) => toApprovalModel(await approvals.read(actor, uuid)));
  }

  @Access('authenticated')
  @Mutation(() => ApprovalRequestPayload, { description: 'Asks a second person to agree to what the policy wants two for. Needs the permission for the work itself; good for 24 hours and for one use, by whoever asked.' })
  async approvalRequest(@CurrentActor() actor: Actor, @Args('input') { action, subjectId, note, ...given }: ApprovalRequestInput): Promise<ApprovalRequestPayload> {
    const options = { keepOld: given.keepOld ?? false, giveUpUndo: given.giveUpUndo ?? false, decrypted: given.decrypted ?? false };
    return { approval: toApprovalModel(await this.approvals.request(actor, { action, subjectId, note: note?.trim() || null, options })) };
  }

  @Access(Permission.APPROVE)
  @Mutation(() => ApprovalDecidePayload, { description: 'Needs APPROVE and the permission for the work itself; nobody decides what they have asked for.' })
  async approvalDecide(@CurrentActor() actor: Actor, @Args('input') { approvalId, decision, note }: ApprovalDecideInput): Promise<ApprovalDecidePayload> {
    return { approval: toApprovalModel(await this.approvals.decide(actor, fromGlobalId('Approval', approvalId), decision, note?.trim() || null)) };
  }

  @ResolveField(() => ApprovalConnection, { description: 'Newest first; those without APPROVE see what they have asked for themselves.', name: 'approvals' })
  async ofTenant(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel, @Args() args: PageArgs): Promise<ApprovalConnection> {
    const page = pageOf(args);
    return toConnection(page, await this.approvals.list(actor, uuid, page), (row) => ({ at: row.createdAt, id: row.id }), toApprovalModel);
  }
}
