import { Args, ID, Query, Resolver } from '@nestjs/graphql';
import { Access } from '../auth/access.decorator.js';
import type { Actor } from '../auth/actor.js';
import { CurrentActor } from './current-actor.decorator.js';
import { Node, type NodeValue } from './node.model.js';
import { NodeRegistry } from './node-registry.js';

@Resolver()
export class NodeResolver {
  constructor(private readonly registry: NodeRegistry) {}

  @Access('authenticated')
  @Query(() => Node, { nullable: true })
  node(@CurrentActor() actor: Actor, @Args('id', { type: () => ID }) id: string): Promise<NodeValue> {
    return this.registry.load(actor, id);
  }
}
