import { Module } from '@nestjs/common';
import { ExportsController } from './exports.controller.js';
import { HistoryRepository } from './history.repository.js';
import { HistoryResolver } from './history.resolver.js';
import { HistoryService } from './history.service.js';

@Module({ controllers: [ExportsController], providers: [HistoryRepository, HistoryResolver, HistoryService] })
export class HistoryModule {}
