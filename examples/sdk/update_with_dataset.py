"""Modifies a training job configuration that reads its data from a dataset.

Example 2 of "Modifying a Training Job Configuration" with the package's name changed. Session()
takes what the environment holds: OS_ACCESS_KEY, OS_SECRET_KEY, OS_PROJECT_ID and OS_REGION_NAME
(or any other form that majobctl knows), and MAJOBCTL_ENDPOINT for an address other than the
region's.
"""

from majobctl.session import Session
from majobctl.estimator import Estimator
session = Session()
estimator = Estimator(
                      modelarts_session=session,
                      framework_type='PyTorch',                                     # AI engine name
                      framework_version='PyTorch-1.0.0-python3.6',                  # AI engine version
                      code_dir='/bucket/src/',                                      # Training script directory
                      boot_file='/bucket/src/pytorch_sentiment.py',                 # Training boot script directory
                      log_url='/bucket/log/',                                       # Training log directory
                      hyperparameters=[
                                       {"label":"classes",
                                        "value": "10"},
                                       {"label":"lr",
                                        "value": "0.001"}
                                       ],
                      output_path='/bucket/output/',                                 # Training output directory
                      train_instance_type='modelarts.vm.gpu.p100',                   # Training environment flavor
                      train_instance_count=1)                                        # Number of training nodes
update_info = estimator.update_job_configs(config_name='my_job_config', dataset_id='4AZNvFkN7KYr5EdhFkH', dataset_version_id='UOF9BIeSGArwVt0oI6T', config_desc='update')
print(update_info)
