// Which of the two themes is shown: the system's, or the one that was chosen here. Loaded before the
// page is painted, so that it does not flash.
'use strict';

const themes = ['system', 'light', 'dark'];

function chosenTheme() {
  const chosen = localStorage.getItem('lockstep.theme');
  return themes.includes(chosen) ? chosen : 'system';
}

function showTheme() {
  document.documentElement.dataset.theme = chosenTheme();
}

function chooseNextTheme() {
  localStorage.setItem('lockstep.theme', themes[(themes.indexOf(chosenTheme()) + 1) % themes.length]);
  showTheme();
  return chosenTheme();
}

showTheme();
