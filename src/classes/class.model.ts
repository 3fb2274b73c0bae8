import { Field, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { CollectionStatModel } from '../platform/graphql/collection-stat.model.js';
import { PageInfo } from '../platform/graphql/connection.js';
import { DataClass } from './data-class.js';

export const RuleOwner = { TENANT: 'TENANT', PROVIDER: 'PROVIDER' } as const;
export type RuleOwner = keyof typeof RuleOwner;
registerEnumType(RuleOwner, { name: 'RuleOwner' });

@ObjectType('CounterRule', { description: 'By a reset, this top-level field of each document of the collection gets this value.' })
export class CounterRuleModel {
  @Field(() => String)
  field!: string;

  @Field(() => Int)
  resetTo!: number;
}

@ObjectType('ClassRule', { description: 'Says by the name of a collection what it holds. The first rule that fits decides.' })
export class ClassRuleModel {
  @Field(() => String, { description: '`*` stands for any characters; case does not count.' })
  pattern!: string;

  @Field(() => DataClass)
  dataClass!: DataClass;

  @Field(() => Boolean, { description: 'Whether a reset wipes it.' })
  resettable!: boolean;

  @Field(() => CounterRuleModel, { nullable: true, description: 'Set where a reset lets counters start anew; null: it leaves them as they are.' })
  counter?: CounterRuleModel | null | undefined;
}

@ObjectType('ClassRow', { description: 'A collection as it is live, and what the rules make of it. Undecided ones belong to no partial backup and are never wiped.' })
export class ClassRowModel extends CollectionStatModel {
  @Field(() => DataClass, { nullable: true, description: 'Null: undecided.' })
  dataClass!: DataClass | null;

  @Field(() => Boolean)
  resettable!: boolean;

  @Field(() => CounterRuleModel, { nullable: true })
  counter?: CounterRuleModel | null;

  @Field(() => String, { nullable: true, description: 'The pattern of the rule that decided.' })
  decidedBy!: string | null;

  @Field(() => RuleOwner, { nullable: true, description: 'Whose rule it is.' })
  decidedFrom!: RuleOwner | null;
}

@ObjectType('CollectionEdge')
export class CollectionEdge {
  @Field(() => String)
  cursor!: string;

  @Field(() => ClassRowModel)
  node!: ClassRowModel;
}

@ObjectType('CollectionConnection', { description: 'In the order of the names.' })
export class CollectionConnection {
  @Field(() => [CollectionEdge])
  edges!: CollectionEdge[];

  @Field(() => PageInfo)
  pageInfo!: PageInfo;

  @Field(() => Int)
  totalCount!: number;
}
