import { Injectable } from '@nestjs/common';
import type { Actor } from '../auth/actor.js';
import { notFound, parseGlobalId } from './global-id.js';
import type { NodeValue } from './node.model.js';

/** Loads one entity for `node(id)`: checks the permission as the type's own query does, and throws or returns null alike. */
export type NodeLoader = (actor: Actor, uuid: string) => Promise<NodeValue | null>;

/** Features register how `node(id)` loads their types; nothing here knows them. */
@Injectable()
export class NodeRegistry {
  private readonly loaders = new Map<string, NodeLoader>();

  register(type: string, loader: NodeLoader): void {
    if (this.loaders.has(type)) throw new Error(`Two loaders for ${type}`);
    this.loaders.set(type, loader);
  }

  /** @throws AppError NOT_FOUND */
  async load(actor: Actor, id: string): Promise<NodeValue> {
    const parsed = parseGlobalId(id);
    const loader = parsed === null ? undefined : this.loaders.get(parsed.type);
    const node = parsed === null || loader === undefined ? null : await loader(actor, parsed.uuid);
    if (node === null) throw notFound('Node');
    return node;
  }
}
