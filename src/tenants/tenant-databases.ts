import { Injectable } from '@nestjs/common';
import { asAppError } from '#errors';
import { DatabaseInfoModel, Engine } from './tenant.model.js';
import { TenantTargets } from './tenant-targets.js';
import type { TenantEntity } from './tenant.entity.js';

const patienceMs = 3_000;

/** Looks at live databases for people who wait: an answer in seconds, and an error as data. */
@Injectable()
export class TenantDatabases {
  private readonly underWay = new Map<string, Promise<DatabaseInfoModel>>();

  constructor(private readonly targets: TenantTargets) {}

  async describe(tenant: TenantEntity): Promise<DatabaseInfoModel> {
    if (tenant.deletedAt !== null) return unknown(tenant, 'The workspace was deleted');
    const { promise: tooSlow, resolve } = Promise.withResolvers<DatabaseInfoModel>();
    const timer = setTimeout(() => resolve(unknown(tenant, `The database did not answer within ${patienceMs / 1000} seconds`)), patienceMs);
    try {
      return await Promise.race([this.look(tenant), tooSlow]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Many readers at once share one look; a slow one closes its session when it is through, whoever has stopped waiting. */
  private look(tenant: TenantEntity): Promise<DatabaseInfoModel> {
    const key = `${tenant.id}/${tenant.targetRevision}`;
    const running = this.underWay.get(key) ?? this.inspect(tenant).finally(() => this.underWay.delete(key));
    this.underWay.set(key, running);
    return running;
  }

  private async inspect(tenant: TenantEntity): Promise<DatabaseInfoModel> {
    try {
      const session = await this.targets.open(tenant);
      try {
        const { version, sizeBytes, collections, documents } = await session.inspect();
        return { name: tenant.targetDatabase, engine: Engine[tenant.engine], version, sizeBytes, collections, documents, error: null };
      } finally {
        await session.close();
      }
    } catch (error) {
      return unknown(tenant, asAppError(error).message);
    }
  }
}

function unknown(tenant: TenantEntity, error: string): DatabaseInfoModel {
  return { name: tenant.targetDatabase, engine: Engine[tenant.engine], version: null, sizeBytes: null, collections: null, documents: null, error };
}
