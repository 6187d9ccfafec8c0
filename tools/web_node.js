// Before the program under node: the environment's variables are its own.
Module['preRun'] = function () {
    Object.assign(ENV, process.env);
};
