@echo off
rem Opens triage in the browser. Closing this window ends it; every decision is kept.
title triage
cd /d "%USERPROFILE%\Documents"
set "PATH=%USERPROFILE%\.local\bin;%PATH%"
where triage >nul 2>nul || (echo triage is not installed: see docs/install.md. & pause & exit /b 1)
triage
if errorlevel 1 pause
