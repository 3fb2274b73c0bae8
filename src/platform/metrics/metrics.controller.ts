import { createHash, timingSafeEqual } from 'node:crypto';
import { Controller, Get, Req, Res } from '@nestjs/common';
import type { Request, Response } from 'express';
import { AppError } from '#errors';
import { AppConfig } from '../../config/app-config.js';
import { Access } from '../auth/access.decorator.js';
import { MetricsRegistry } from './metrics-registry.js';

const loopback = new Set(['127.0.0.1', '::1', '::ffff:127.0.0.1']);

@Access('public')
@Controller()
export class MetricsController {
  constructor(
    private readonly config: AppConfig,
    private readonly registry: MetricsRegistry,
  ) {}

  @Get('metrics')
  async metrics(@Req() request: Request, @Res() response: Response): Promise<void> {
    this.requireAccess(request);
    response.set({ 'content-type': this.registry.contentType, 'cache-control': 'no-store' }).end(await this.registry.print());
  }

  private requireAccess(request: Request): void {
    const { metricsToken } = this.config;
    if (metricsToken === null) {
      // What a proxy on this machine passes on comes from elsewhere.
      const isLocal = loopback.has(request.socket.remoteAddress ?? '') && request.get('x-forwarded-for') === undefined && request.get('forwarded') === undefined;
      if (!isLocal) throw new AppError('FORBIDDEN', 'Metrics are shown to this machine alone unless HOLDFAST_METRICS_TOKEN is set');
    } else if (!isSame(request.get('authorization') ?? '', `Bearer ${metricsToken}`)) {
      throw new AppError('UNAUTHENTICATED', 'Metrics need the token of HOLDFAST_METRICS_TOKEN');
    }
  }
}

function isSame(given: string, wanted: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
