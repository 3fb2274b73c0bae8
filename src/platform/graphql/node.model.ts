import { Field, ID, InterfaceType } from '@nestjs/graphql';

export interface NodeValue {
  readonly __typename: string;
  readonly id: string;
}

/** Anything that `node(id)` finds. A model sets `__typename`, by which GraphQL tells the types apart. */
@InterfaceType('Node', { description: 'Anything with an opaque id that `node(id)` finds.', resolveType: (value: NodeValue) => value.__typename })
export abstract class Node {
  @Field(() => ID)
  id!: string;
}
