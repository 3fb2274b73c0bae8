import { Field, ID, ObjectType } from '@nestjs/graphql';
import { ActorModel, toActorModel } from '../platform/graphql/actor.model.js';
import { Paginated } from '../platform/graphql/connection.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { Node } from '../platform/graphql/node.model.js';
import type { MemberEntity } from './member.entity.js';
import { MemberRole } from './role.js';

@ObjectType('Member', { implements: () => [Node] })
export class MemberModel implements Node {
  readonly __typename = 'Member';

  @Field(() => ID)
  id!: string;

  @Field(() => String)
  email!: string;

  @Field(() => String, { nullable: true })
  name!: string | null;

  @Field(() => String, { nullable: true })
  phone!: string | null;

  @Field(() => MemberRole)
  role!: MemberRole;

  @Field(() => Date)
  createdAt!: Date;

  @Field(() => ActorModel, { nullable: true })
  createdBy!: ActorModel | null;
}

@ObjectType()
export class MemberConnection extends Paginated('Member', () => MemberModel) {}

export function toMemberModel(row: MemberEntity): MemberModel {
  const { email, name, phone, role, createdAt } = row;
  return { __typename: 'Member', id: toGlobalId('Member', row.id), email, name, phone, role, createdAt, createdBy: toActorModel(row.createdBy) };
}
