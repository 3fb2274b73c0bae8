import { Controller, Get, Header, Res } from '@nestjs/common';
import type { Response } from 'express';
import { Access } from '../auth/access.decorator.js';
import { type HealthFinding, HealthRegistry, type HealthState } from './health-registry.js';

export interface Readiness {
  readonly status: HealthState;
  readonly checks: Readonly<Record<string, HealthFinding>>;
}

@Access('public')
@Controller()
export class HealthController {
  constructor(private readonly registry: HealthRegistry) {}

  /** The process runs and answers; nothing else is looked at, so that a lost database restarts nothing. */
  @Get('healthz')
  @Header('cache-control', 'no-store')
  alive(): { status: 'ok' } {
    return { status: 'ok' };
  }

  /** 503 while something that every request needs is away. */
  @Get('readyz')
  @Header('cache-control', 'no-store')
  async ready(@Res({ passthrough: true }) response: Response): Promise<Readiness> {
    const checks = await this.registry.findings();
    const states = Object.values(checks).map(({ state }) => state);
    const status = states.includes('down') ? 'down' : states.includes('warning') ? 'warning' : 'ok';
    if (status === 'down') response.status(503);
    return { status, checks };
  }
}
