import { ensurePackages } from './lib.mjs';

ensurePackages();
