import { Controller, Headers, HttpCode, Param, Post, Req } from '@nestjs/common';
import type { Request } from 'express';
import { Access } from '../platform/auth/access.decorator.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { CronKeys } from './cron-keys.js';

/** `POST /cron/<slug>` with `Authorization: Bearer <cron key>`: the key is all the permission that is needed. */
@Controller('cron')
export class CronController {
  constructor(private readonly keys: CronKeys) {}

  @Access('public')
  @Post(':slug')
  @HttpCode(202)
  async run(@Param('slug') slug: string, @Headers('authorization') authorization: string | undefined, @Req() request: Request): Promise<{ readonly operation: string }> {
    const [, key = ''] = /^Bearer (\S{1,200})$/.exec(authorization ?? '') ?? [];
    return { operation: toGlobalId('Operation', await this.keys.run(slug, key, request.ip ?? '')) };
  }
}
