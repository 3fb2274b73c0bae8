import { AppConfig } from './app-config.js';
import { parseEnvironment } from './parse-environment.js';

/**
 * The configuration of this process, read from its environment. This is the one place that does so.
 *
 * @throws ConfigurationError; its message lists every problem and is fit to be printed as it is
 */
export function loadConfig(warn: (message: string) => void = (message) => void process.stderr.write(`holdfast: ${message}\n`)): AppConfig {
  const { values, warnings } = parseEnvironment(process.env);
  for (const warning of warnings) warn(warning);
  return new AppConfig(values);
}
