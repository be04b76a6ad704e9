// The API's paths, to be read and tried: Swagger UI on /openapi.json.

import { token } from './api.js';

const theme = document.documentElement.dataset.theme;
const dark = matchMedia('(prefers-color-scheme: dark)');

function showTheme() {
  const isDark = theme === 'dark' || (theme === 'system' && dark.matches);
  document.documentElement.classList.toggle('dark-mode', isDark);
}

showTheme();
dark.addEventListener('change', showTheme);

const ui = globalThis.SwaggerUIBundle({
  url: '/openapi.json',
  domNode: document.querySelector('#docs'),
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null, // else an elsewhere is asked whether the document is right
  onComplete() {
    if (token()) ui.preauthorizeApiKey('token', token()); // the live page's, in the same window
  },
});
