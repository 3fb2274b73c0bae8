import { Module } from '@nestjs/common';
import { GuidanceResolver } from './guidance.resolver.js';
import { GuidanceService } from './guidance.service.js';

@Module({ providers: [GuidanceResolver, GuidanceService] })
export class GuidanceModule {}
