import { readFile } from 'node:fs/promises';
import { findPackageJSON } from 'node:module';
import { dirname, join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { AppConfig } from '../config/app-config.js';
import { type HelpEntry, parseHelpPage } from './help-page.js';
import type { HelpTopic } from './help-text.model.js';

/** The texts of `docs/help`, which lies beside the program in every installation. */
@Injectable()
export class GuidanceService {
  private readonly pages = new Map<HelpTopic, Promise<readonly HelpEntry[]>>();

  constructor(private readonly config: AppConfig) {}

  about(topic: HelpTopic): Promise<readonly HelpEntry[]> {
    const page = this.pages.get(topic) ?? this.read(topic);
    this.pages.set(topic, page);
    return page;
  }

  private async read(topic: HelpTopic): Promise<readonly HelpEntry[]> {
    const name = topic.toLowerCase().replaceAll('_', '-');
    const root = dirname(findPackageJSON('..', import.meta.url) ?? '.');
    return parseHelpPage(name, await readFile(join(root, 'docs', 'help', `${name}.md`), 'utf8'), { support: this.config.supportUrl, help: this.config.helpUrl });
  }
}
