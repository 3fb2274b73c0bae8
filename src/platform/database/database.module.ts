import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import type { DataSourceOptions } from 'typeorm';
import { AppConfig } from '../../config/app-config.js';
import { dataSourceOptions, openDataSource } from './data-source.js';

/** The control plane's PostgreSQL. Each feature names its own entities with `TypeOrmModule.forFeature([...])`. */
@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      inject: [AppConfig],
      useFactory: (config: AppConfig) => ({ ...dataSourceOptions(config.databaseUrl), autoLoadEntities: true, retryAttempts: 0 }),
      dataSourceFactory: (options?: DataSourceOptions) => {
        if (options === undefined) throw new Error('The data source has no options');
        return openDataSource(options);
      },
    }),
  ],
})
export class DatabaseModule {}
