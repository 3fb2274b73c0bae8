import { Global, Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { Background } from './background.js';

@Global()
@Module({ imports: [ScheduleModule.forRoot()], providers: [Background], exports: [Background] })
export class BackgroundModule {}
