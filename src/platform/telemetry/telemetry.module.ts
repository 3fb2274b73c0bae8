import { Module, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { AppConfig } from '../../config/app-config.js';
import { startTracing } from './start-tracing.js';

@Module({})
export class TelemetryModule implements OnModuleInit, OnApplicationShutdown {
  private stop: () => Promise<void> = () => Promise.resolve();

  constructor(private readonly config: AppConfig) {}

  async onModuleInit(): Promise<void> {
    this.stop = await startTracing(this.config);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.stop();
  }
}
