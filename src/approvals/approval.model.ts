import { Field, ID, ObjectType, registerEnumType } from '@nestjs/graphql';
import { ActorModel, toActorModel } from '../platform/graphql/actor.model.js';
import { Paginated } from '../platform/graphql/connection.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { Node } from '../platform/graphql/node.model.js';
import { ApprovalAction } from '../policies/policy-enums.js';
import type { ApprovalEntity } from './approval.entity.js';
import { hasExpired } from './approvals.service.js';

export const ApprovalState = { REQUESTED: 'REQUESTED', APPROVED: 'APPROVED', REJECTED: 'REJECTED', USED: 'USED', EXPIRED: 'EXPIRED' } as const;
export type ApprovalState = keyof typeof ApprovalState;
registerEnumType(ApprovalState, { name: 'ApprovalState' });

@ObjectType('Approval', { implements: () => [Node], description: "A second person's agreement to one piece of work, good once." })
export class ApprovalModel implements Node {
  readonly __typename = 'Approval';

  @Field(() => ID)
  id!: string;

  @Field(() => ApprovalAction)
  action!: ApprovalAction;

  @Field(() => ApprovalState)
  state!: ApprovalState;

  @Field(() => ID, { description: 'Of the restore plan, the operation, the backup or the reset that it is about.' })
  subjectId!: string;

  @Field(() => String, { description: 'What would be done.' })
  summary!: string;

  @Field(() => String, { nullable: true, description: 'Of whoever asked.' })
  note!: string | null;

  @Field(() => ActorModel, { nullable: true })
  requestedBy!: ActorModel | null;

  @Field(() => Date)
  createdAt!: Date;

  @Field(() => Date, { description: 'Until then it can be decided and used.' })
  expiresAt!: Date;

  @Field(() => ActorModel, { nullable: true })
  decidedBy!: ActorModel | null;

  @Field(() => Date, { nullable: true })
  decidedAt!: Date | null;

  @Field(() => String, { nullable: true })
  decisionNote!: string | null;

  @Field(() => Date, { nullable: true })
  usedAt!: Date | null;
}

@ObjectType()
export class ApprovalConnection extends Paginated('Approval', () => ApprovalModel) {}

export function toApprovalModel(row: ApprovalEntity): ApprovalModel {
  const { id, action, subjectType, subjectId, summary, note, requestedBy, createdAt, expiresAt, decidedBy, decidedAt, decisionNote, usedAt } = row;
  return {
    __typename: 'Approval', id: toGlobalId('Approval', id), action, state: hasExpired(row) ? 'EXPIRED' : row.state, subjectId: toGlobalId(subjectType, subjectId), summary, note,
    requestedBy: toActorModel(requestedBy), createdAt, expiresAt, decidedBy: toActorModel(decidedBy), decidedAt, decisionNote, usedAt,
  };
}
