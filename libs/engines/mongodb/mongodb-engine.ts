import type { EngineSession, Pace, Target, TenantEngine } from '../port.js';
import { connect } from './connection.js';
import { MongodbSession } from './mongodb-session.js';

/** Tenants on MongoDB 6.0 or later: replica sets, and standalone servers with backups that are not of one moment. */
export class MongodbEngine implements TenantEngine {
  readonly name = 'MONGODB';

  async open(target: Target, pace: Pace | null = null): Promise<EngineSession> {
    return new MongodbSession({ ...(await connect(target)), pace });
  }
}
